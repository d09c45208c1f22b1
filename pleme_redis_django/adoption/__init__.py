"""Adoption: turns what waits in the tables of other queues into jobs, for ``manage.py adopttasks``.

Rows and jobs are in one database, and each batch is one transaction: a crash neither loses nor doubles any.
"""
