"""Which answers and errors mean that Redis cannot do its work now.

``judged`` decides it for each error reply that arrives (``connection_classes.py``), so that all callers
see the same. A wrong call (a type error, an unknown command) is not an outage, and is not hidden.
"""

from __future__ import annotations

import re

from redis import exceptions


class ServerRefuses(exceptions.ResponseError):
    """The server answers, but does not do what was asked: it lacks memory, disk or replicas, or forbids it."""


class NotPrimary(exceptions.ConnectionError):
    """The connection leads to a server that is not a primary, or is no longer one.

    A ConnectionError: redis-py disconnects, and the next attempt goes to the server that the address names by then.
    """


# ConnectionError covers authentication, loading and an exhausted pool.
OUTAGES = (exceptions.ConnectionError, exceptions.TimeoutError, ServerRefuses, OSError)

_REFUSALS = frozenset({"OOM", "MISCONF", "NOREPLICAS", "BUSY", "UNKILLABLE", "CLUSTERDOWN", "NOPERM"})
_NOT_PRIMARY = frozenset({"READONLY", "MASTERDOWN"})
# Up to 6.2 an error of a command in a script arrives as "Error running script (...): ... -OOM command not
# allowed ...", and a missing right within one has no code in any version.
_IN_SCRIPT = re.compile(r"@user_script.*?-([A-Z]+) ", re.DOTALL)
_NO_RIGHT_IN_SCRIPT = re.compile(r"The user executing the script can't|ACL failure in script")


def judged(error: exceptions.ResponseError) -> exceptions.RedisError:
    """Return the exception for an error reply: itself, ServerRefuses or NotPrimary."""
    code = _code_of(error)
    if code in _NOT_PRIMARY:
        return NotPrimary(f"{code} {error}".replace(f"{code} {code}", code))
    if code in _REFUSALS:
        return ServerRefuses(f"{code} {error}".replace(f"{code} {code}", code))
    return error


def _code_of(error: exceptions.ResponseError) -> str:
    text = str(error)
    # redis-py removes the code from the text where it has a class for it.
    code: str = getattr(error, "status_code", None) or text.partition(" ")[0]
    if code in _REFUSALS or code in _NOT_PRIMARY:
        return code
    if _NO_RIGHT_IN_SCRIPT.search(text):
        return "NOPERM"
    within = _IN_SCRIPT.search(text)
    return within[1] if within else code
