"""What a supervisor and its worker processes have agreed on: exit codes, a signal, and the mark of a child."""

from __future__ import annotations

import os
import signal

# What the supervisor sends to a worker process that shall give back what still runs.
END_GRACE_SIGNAL = signal.SIGQUIT

# Set for a child, and taken out of its environment once it knows that it is one.
CHILD_VARIABLE = "PLEME_REDIS_WORKER_PROCESS"

EXIT_OK = 0
EXIT_CANNOT_START = 1
EXIT_GAVE_BACK = 3
# Of a worker process alone: it was asked to drain, and its supervisor starts no other in its place.
EXIT_DRAINED = 4
# Of a worker process alone: a thread of its engine had ended, and its supervisor starts another one.
EXIT_BROKEN = 5
# Of a worker process alone: its supervisor starts another one in its place. EX_TEMPFAIL of sysexits.h.
EXIT_RECYCLED = 75


def forget_being_a_child() -> None:
    """Keep the mark of a worker process from the programs that its handlers start."""
    os.environ.pop(CHILD_VARIABLE, None)
