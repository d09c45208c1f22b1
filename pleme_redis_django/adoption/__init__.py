"""Adoption: what waits in the tables of other queues becomes jobs; ``manage.py adopttasks``.

Rows and jobs are in one database, and each batch is one transaction: a crash loses none and doubles none.
"""
