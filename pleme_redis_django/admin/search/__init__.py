"""The search of job lists: from what is typed to a condition that a table of millions can bear."""
