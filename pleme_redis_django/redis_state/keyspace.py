"""Every Redis key: its name, type, TTL and hash tag. No other module builds one.

Names that users choose are validated (products, queue names) or digested (everything else), never
pasted: an unencoded name collides with its neighbour's (``a:b`` + ``c`` is ``a`` + ``b:c``), and
turns into a pattern or another hash slot when it holds ``*`` or ``{``.
"""

from __future__ import annotations

import hashlib

from pleme_redis_django.jobs.job import validate_queue_name

PREFIX = "pl"


def digest(name: str) -> str:
    """Return 32 hexadecimal digits (BLAKE2b-128, RFC 7693) that stand for ``name`` in a key."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


# Wake-up hints of jobs. One hash tag for a whole namespace, so that one BRPOP may name several
# lists on a Cluster. The product is inside each element.


def hint_list(queue_key: str, queue_name: str) -> str:
    """LIST of hints of one queue, newest left; trimmed to 10,000 elements; no TTL."""
    return f"{PREFIX}:{{{validate_queue_name(queue_key)}}}:queue:{validate_queue_name(queue_name)}"


def hint_queue_names(queue_key: str) -> str:
    """SET of the queue names that were ever hinted; no TTL."""
    return f"{PREFIX}:{{{validate_queue_name(queue_key)}}}:names"


def hint_wake_all(queue_key: str) -> str:
    """LIST that a worker of every queue also blocks on: a queue name that it does not know yet."""
    return f"{PREFIX}:{{{validate_queue_name(queue_key)}}}:wake"


def hint_counters(queue_key: str) -> str:
    """HASH ``pushed:<queue>`` and ``popped:<queue>`` -> count; no TTL."""
    return f"{PREFIX}:{{{validate_queue_name(queue_key)}}}:counters"
