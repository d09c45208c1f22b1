"""Checks of one alias of TASKS: they read the settings and ask no server."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import valid_pools
from pleme_redis_django.exceptions import InvalidName, InvalidSettings
from pleme_redis_django.jobs.definitions.registry import RegistryExecutor
from pleme_redis_django.jobs.interface.queue_names import validate_queue_name
from pleme_redis_django.models import Job
from pleme_redis_django.tasks_backend.options import BackendOptions, options_of


def check_alias(alias: str, queues: Collection[str], options: Any) -> Iterator[CheckMessage]:
    """E034: an option is wrong. E035: a queue's name is. W036: no worker of the alias's pools runs its tasks."""
    try:
        get_settings()
        read = options_of(alias, options)
    except InvalidSettings as error:
        yield Error(
            str(error),
            hint=f'Correct OPTIONS in TASKS["{alias}"]; the guide about django.tasks lists them.',
            id="pleme_redis_django.E034",
        )
        return
    yield from _wrong_queues(alias, queues)
    yield from _unserved_queues(alias, queues, read)


def _wrong_queues(alias: str, queues: Collection[str]) -> Iterator[CheckMessage]:
    for queue_name in sorted(queues, key=str):
        try:
            validate_queue_name(queue_name)
        except InvalidName as error:
            yield Error(
                f'TASKS["{alias}"]["QUEUES"]: {error}',
                hint="Rename the queue here, and where tasks name it.",
                id="pleme_redis_django.E035",
            )


def _unserved_queues(alias: str, queues: Collection[str], options: BackendOptions) -> Iterator[CheckMessage]:
    pools = [
        parts
        for parts in valid_pools()
        if parts.model is Job
        and isinstance(parts.executor, RegistryExecutor)
        and options.pool in (None, parts.name)
    ]
    what = "a pool" if options.pool is None else f'the pool "{options.pool}"'
    served: set[str] = set()
    for parts in pools:
        served |= set(parts.config.queues)
    unserved = sorted(str(name) for name in queues if name not in served)
    if "*" in served or (pools and not unserved):
        return
    named = f"its queues {', '.join(unserved)}" if unserved else "its queues"
    yield Warning(
        f'TASKS["{alias}"]: {what} of the package\'s own jobs serves none of {named}: tasks would wait there for ever.',
        hint='Name them in the "queues" of a pool in PLEME_REDIS["POOLS"], or let a pool serve "*".',
        id="pleme_redis_django.W036",
    )
