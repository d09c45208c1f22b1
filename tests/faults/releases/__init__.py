"""A job of two releases, for the tests of a deployment: an app of its own, so that no other worker has the limit."""
