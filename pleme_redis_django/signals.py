"""Every Django signal of the package, with its payload.

Sent with ``send_robust``: a receiver that raises is logged by Django and changes nothing. Signals
of jobs are sent in the process where it happens; the sender is the job's class.
"""

from __future__ import annotations

from django.dispatch import Signal

jobs_enqueued = Signal()
"""After the commit that stored them. ``jobs``: sequence of Job, all of one enqueue."""

job_started = Signal()
"""In the worker, before the handler is called. ``job``."""

job_progressed = Signal()
"""In the worker, when progress was written (at most once a second). ``job``, ``progress``: dict."""

job_completed = Signal()
"""In the worker, once COMPLETED is stored. ``job``, ``results``: the JSON value."""

job_retried = Signal()
"""In the worker, once the retry is stored. ``job``, ``failure``, ``retry_count``, ``delay_seconds``."""

job_failed = Signal()
"""In the worker, once FAILED is stored. ``job``, ``failure``: message, error_code, traceback."""

job_cancelled = Signal()
"""In the worker, once CANCELLED is stored, or where a waiting job was cancelled, after the commit. ``job``."""

# Presence of a product, not of its rooms. Sent by the one process whose change made it visible, so once
# in the whole cluster; a process that dies between the change and the signal loses it. Sender:
# PresenceManager. Arguments: ``product`` (str), ``user_id`` (str).

user_online = Signal()
"""A user's first connection joined."""

user_offline = Signal()
"""A user's last connection left, or expired because its process died."""

user_idle = Signal()
"""No connection of a user is active any more (``idle=True``), or one is again (``idle=False``)."""

lock_force_released = Signal()
"""An operator took a lock away. ``lock``: HeldLock as it was; ``by``: who; ``reason``: text."""
