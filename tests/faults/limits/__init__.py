"""Jobs with limits for the tests of faults: an app of their own, so that no other worker has limits."""
