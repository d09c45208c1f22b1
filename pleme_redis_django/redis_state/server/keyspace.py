"""Every Redis key: its name, type, TTL and hash tag. No other module builds one.

Names that users choose are validated (products, queue names) or digested (everything else), never
pasted: an unencoded name collides with its neighbour's (``a:b`` + ``c`` is ``a`` + ``b:c``), and
turns into a pattern or another hash slot if it contains ``*`` or ``{``.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from pleme_redis_django.jobs.interface.queue_names import validate_queue_name

PREFIX = "pl"


def digest(name: str) -> str:
    """Return 32 hexadecimal digits (BLAKE2b-128, RFC 7693) that stand for ``name`` in a key."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


# Wake-up hints of jobs. One hash tag for a whole namespace, so that one BRPOP may name several
# lists on a Cluster. The product is inside each element.


def hint_list(queue_key: str, queue_name: str) -> str:
    """LIST of hints of one queue, newest left; trimmed to 10,000 elements; TTL one hour."""
    return f"{PREFIX}:{{{validate_queue_name(queue_key)}}}:queue:{validate_queue_name(queue_name)}"


def hint_queue_names(queue_key: str) -> str:
    """ZSET queue name -> time of its last hint (s), of the last hour; TTL one to two hours."""
    return f"{PREFIX}:{{{validate_queue_name(queue_key)}}}:names"


def hint_wake_all(queue_key: str) -> str:
    """LIST that a worker of every queue also blocks on: a queue name that it does not know yet."""
    return f"{PREFIX}:{{{validate_queue_name(queue_key)}}}:wake"


def hint_counters(queue_key: str) -> str:
    """HASH ``pushed:<queue>`` and ``popped:<queue>`` -> count; TTL one to two hours."""
    return f"{PREFIX}:{{{validate_queue_name(queue_key)}}}:counters"


def awaited_jobs() -> str:
    """ZSET job id -> time until which somebody waits for its end (s); TTL 10 seconds after the last who waits."""
    return f"{PREFIX}:{{awaited}}:jobs"


def job_end(job_id: str) -> str:
    """LIST on which those wait who wait for the end of a job; one element once it has ended, TTL one minute."""
    return f"{PREFIX}:{{{job_id}}}:end"


def worker_calls(worker_id: str) -> str:
    """LIST on which one worker process is called to look at its rows now; one element, TTL one minute."""
    return f"{PREFIX}:{{{digest(worker_id)}}}:calls"


# Pub/sub and typing: a tag per product and head (the channel's first segment), so that one script
# numbers, keeps and sends a message, and a busy head is not in every other head's slot. A product has
# no colon in it, so product and head cannot be read in two ways.


def channel_position(product: str, head: str) -> str:
    """HASH epoch, offset (of the newest message), server (its run id); TTL one day after the last use."""
    return f"{PREFIX}:{{{product}:{head}}}:position"


def channel_log(product: str, head: str) -> str:
    """STREAM ``<offset>-0`` -> message, capped in length; TTL ``REPLAY_SECONDS`` after the last message."""
    return f"{PREFIX}:{{{product}:{head}}}:log"


def channel_bus(product: str, head: str) -> str:
    """Redis pub/sub channel that carries a head's messages, presence and typing to every process."""
    return f"{PREFIX}:{{{product}:{head}}}:bus"


def channel_once(product: str, head: str, idempotency_key: str) -> str:
    """STRING position of the message with this idempotency key; TTL five minutes."""
    return f"{PREFIX}:{{{product}:{head}}}:once:{digest(idempotency_key)}"


def typing_users(product: str, head: str, channel: str) -> str:
    """ZSET user -> expiry (ms) of the users who type in a conversation; TTL twice the typing TTL."""
    return f"{PREFIX}:{{{product}:{head}}}:typing:{digest(channel)}"


def typing_pattern(product: str) -> str:
    """Pattern of all typing keys of a product, for SCAN."""
    return f"{PREFIX}:{{{product}:*}}:typing:*"


def rights_probe() -> str:
    """Key and channel by which ``check --deploy`` finds out what the user may do; 1 ms."""
    return f"{PREFIX}:{{check}}:rights"


def control_bus() -> str:
    """Redis pub/sub channel with orders to every realtime process to check or close sockets."""
    return f"{PREFIX}:control:bus"


def control_log() -> str:
    """STREAM ``order`` -> the last 10,000 orders of the control bus; TTL five minutes after the last one."""
    return f"{PREFIX}:control:log"


# Presence: one tag per product, so that a process extends all its connections in one call.


class PresenceKeys(NamedTuple):
    """The keys of one presence scope, in the order in which the scripts take them; TTL one day."""

    connections: str
    """ZSET connection -> expiry (ms)."""
    records: str
    """HASH connection -> state, user, metadata."""
    users: str
    """HASH user -> its connections."""
    expiries: str
    """ZSET user -> latest expiry (ms)."""
    version: str
    """STRING number of the last event, which begins at the clock; TTL one minute when the scope is empty."""


def presence_keys(product: str, room: str) -> PresenceKeys:
    """Return the keys of a room's presence, or of the whole product's when ``room`` is empty."""
    scope = f"{PREFIX}:{{{product}}}:presence:{digest(room) if room else 'all'}"
    return PresenceKeys(
        *(f"{scope}:{part}" for part in ("connections", "records", "users", "expiries", "version"))
    )


def presence_pattern(product: str) -> str:
    """Pattern of every key of a product's presence, for SCAN; a product holds nothing that a pattern reads."""
    return f"{PREFIX}:{{{product}}}:presence:*"


def presence_last_seen(product: str) -> str:
    """ZSET user -> when last seen (ms); entries and key live for ``LAST_SEEN_SECONDS``."""
    return f"{PREFIX}:{{{product}}}:presence:last-seen"


def presence_due(product: str) -> str:
    """ZSET scope -> earliest expiry of its connections (ms), for the sweeper; TTL one day."""
    return f"{PREFIX}:{{{product}}}:presence:due"


def presence_products() -> str:
    """ZSET product -> last join or heartbeat (seconds): which products a sweeper looks at."""
    return f"{PREFIX}:presence:products"


def presence_turn() -> str:
    """STRING id of the process that sweeps presence; TTL 5 s."""
    return f"{PREFIX}:presence:turn"


# Locks. One hash tag for each lock: all keys of one script call share a slot, and the locks of one
# product spread over the Cluster.


class LockKeys(NamedTuple):
    """The keys of one lock or semaphore; they expire by themselves."""

    lock: str
    """STRING ``<token><fence> <since, ms> <owner JSON>`` of the holder; TTL of the lock."""
    fence: str
    """STRING, the last fence given out; TTL 1 day."""
    wake: str
    """LIST of wake-ups for waiting callers; TTL 1 s."""
    semaphore: str
    """ZSET permit -> expiry in ms; TTL of the last permit."""
    notes: str
    """SET of ``waiting`` when somebody is, and of tokens whose callers were cancelled; TTL 1 minute."""


def lock_keys(product: str, name: str) -> LockKeys:
    """Return the keys of the lock ``name`` of ``product`` (both validated by the caller)."""
    return lock_keys_by_digest(product, digest(name))


def lock_keys_by_digest(product: str, name_digest: str) -> LockKeys:
    """Return the keys of a lock that is known by its digest alone, as in a list of held locks."""
    tag = f"{PREFIX}:{{{product}:{name_digest}}}"
    return LockKeys(f"{tag}:lock", f"{tag}:fence", f"{tag}:wake", f"{tag}:sem", f"{tag}:notes")


def unique_slot(product: str, slot: str) -> str:
    """STRING, the id of the job that took a unique slot; TTL one hour. A hint, checked in the database."""
    return f"{PREFIX}:{{{product}:{digest(slot)}}}:place"


def held_locks_pattern(product: str) -> str:
    """SCAN pattern of a product's held locks; a valid product holds no character that SCAN interprets."""
    return f"{PREFIX}:{{{product}:*}}:lock"


def lock_digest_of(key: str) -> str:
    """Return the name digest in a lock's key, as ``held_locks_pattern`` finds it."""
    return key.rpartition("}")[0].rpartition(":")[2]


# The cache. These are keys of a Django cache alias, which puts its KEY_PREFIX and version in front;
# one tag per product, so that a read and its generation are one MGET.


def cache_entry(product: str, key: str) -> str:
    """STRING, the envelope of a value; TTL of the entry and its grace."""
    return f"{PREFIX}:{{{product}}}:cache:{digest(key)}"


class CacheBuildKeys(NamedTuple):
    """The keys of one entry's builds."""

    lease: str
    """STRING, the token of the caller that builds; TTL of the build."""
    waiters: str
    """STRING, how many wait; TTL of the build."""
    wake: str
    """LIST of wake-ups; TTL 1 s."""


def cache_build_keys(entry: str) -> CacheBuildKeys:
    """Return the keys of the builds of an entry that is known by its key."""
    return CacheBuildKeys(f"{entry}:lease", f"{entry}:waiters", f"{entry}:wake")


def cache_generation(product: str) -> str:
    """STRING of 8 random bytes; entries of another generation are misses. TTL 31 days, renewed by writes."""
    return f"{PREFIX}:{{{product}}}:cache:generation"


def cache_tag(product: str, tag_digest: str) -> str:
    """STRING of 8 random bytes, the generation of a tag; TTL 31 days, renewed by writes."""
    return f"{PREFIX}:{{{product}}}:cache:tag:{tag_digest}"


def cache_counters(product: str) -> str:
    """HASH hits, misses, writes, bytes_read, bytes_written -> count; no TTL, one for a product."""
    return f"{PREFIX}:{{{product}}}:cache:counters"
