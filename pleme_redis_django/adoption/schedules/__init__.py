"""What other schedulers keep becomes rows of Schedule; ``manage.py importschedules``.

Their own packages are not imported, so they may be gone already; nothing of theirs is changed.
"""
