"""Turns what other schedulers keep into rows of Schedule, for ``manage.py importschedules``.

Their packages are not imported, so they may be uninstalled already. Nothing of theirs is changed.
"""
