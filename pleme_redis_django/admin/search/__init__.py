"""The search of job lists: turns what is typed into a condition that stays cheap on a table of millions of rows."""
