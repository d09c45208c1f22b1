"""cron() and every(): the schedules that code declares, with ``@job(schedule=...)``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from pleme_redis_django.exceptions import InvalidParameters, InvalidSchedule, NotJson
from pleme_redis_django.jobs.definitions.cron_expression import checked_cron
from pleme_redis_django.jobs.definitions.declared_schedule import DeclaredSchedule
from pleme_redis_django.jobs.definitions.schedule_values import (
    CATCH_UP_LIMITS,
    DEFAULT_CATCH_UP_LIMIT,
    JITTERS,
    SCHEDULE_NAME_MAX_LENGTH,
    CatchUp,
    Overlap,
)
from pleme_redis_django.jobs.definitions.timing import Timing, checked_interval
from pleme_redis_django.jobs.definitions.uniqueness import UniqueMode, Uniqueness
from pleme_redis_django.jobs.interface.json_text import to_json
from pleme_redis_django.ranges import Whole

_PARAMETERS_MAX_BYTES = 64 * 1024
E_ = TypeVar("E_", CatchUp, Overlap)


def timing_of(declared: DeclaredSchedule, default_timezone: str) -> Timing:
    """Return when a declared schedule fires."""
    return Timing(
        cron=declared.cron,
        interval_seconds=declared.interval_seconds,
        timezone=declared.timezone or default_timezone,
        starts_at=declared.starts_at,
        ends_at=declared.ends_at,
    )


def cron(
    expression: str,
    *,
    timezone: str | None = None,
    name: str | None = None,
    product: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    jitter_seconds: int = 0,
    catch_up: CatchUp | str = CatchUp.SKIP,
    catch_up_limit: int = DEFAULT_CATCH_UP_LIMIT,
    overlap: Overlap | str = Overlap.SKIP,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> DeclaredSchedule:
    """Return a schedule that fires by the wall clock of a zone: ``cron("*/5 * * * *", timezone="Europe/Berlin")``.

    ``expression``: minute hour day month weekday, or six fields with seconds in front. ``timezone``: default
    the settings' TIME_ZONE. The other options are the same for ``every()``:

    - ``name``: unique in its product; default the job's name, for the second schedule of a job "name 2".
    - ``product``: default the settings' PRODUCT. ``parameters``: what the job is called with; default nothing.
    - ``jitter_seconds``: each job starts up to this much later, at random; 0 to 86,400, default 0.
    - ``catch_up``: of ticks that no process could fire, "skip" (default), "one" job for all, or "all": one for each of
      the last ``catch_up_limit`` of them (1 to 10,000, default 100), which needs ``overlap="allow"``.
    - ``overlap``: while its previous job has not ended, a tick is "skip"ped (default), "allow"ed, has to "queue"
      (at most one waits), or is to "replace" that job, which is cancelled; no job can be replaced with
      ``unique="while_running"``, or with ``once_per()`` for the time between ticks or longer.
    - ``starts_at``, ``ends_at``: aware times; no tick is before the one or after the other.

    Raises InvalidSchedule for what is not accepted.
    """
    return _declared(
        cron=expression,
        timezone=timezone,
        name=name,
        product=product,
        parameters=parameters,
        jitter_seconds=jitter_seconds,
        catch_up=catch_up,
        catch_up_limit=catch_up_limit,
        overlap=overlap,
        starts_at=starts_at,
        ends_at=ends_at,
    )


def every(
    seconds: int,
    *,
    timezone: str | None = None,
    name: str | None = None,
    product: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    jitter_seconds: int = 0,
    catch_up: CatchUp | str = CatchUp.SKIP,
    catch_up_limit: int = DEFAULT_CATCH_UP_LIMIT,
    overlap: Overlap | str = Overlap.SKIP,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> DeclaredSchedule:
    """Return a schedule that fires every so many seconds, 1 to 31,622,400: ``every(300)``.

    Ticks are counted from ``starts_at``, else from 1970-01-01 00:00 UTC, so an interval does not drift, however late
    its ticks fire. ``timezone`` is the zone in which people read the times. The other options are those
    of ``cron()``. Raises InvalidSchedule for what is not accepted.
    """
    return _declared(
        interval_seconds=seconds,
        timezone=timezone,
        name=name,
        product=product,
        parameters=parameters,
        jitter_seconds=jitter_seconds,
        catch_up=catch_up,
        catch_up_limit=catch_up_limit,
        overlap=overlap,
        starts_at=starts_at,
        ends_at=ends_at,
    )


def _declared(**options: Any) -> DeclaredSchedule:
    options["parameters"] = checked_parameters(options["parameters"] or {})
    options["catch_up"] = checked_choice("catch_up", options["catch_up"], CatchUp)
    options["overlap"] = checked_choice("overlap", options["overlap"], Overlap)
    refuse_overlapping_catch_up(options["catch_up"], options["overlap"])
    if options["name"] is not None:
        checked_name(options["name"])
    checked_whole("jitter_seconds", options["jitter_seconds"], JITTERS)
    checked_whole("catch_up_limit", options["catch_up_limit"], CATCH_UP_LIMITS)
    if "cron" in options:
        options["cron"] = checked_cron(options["cron"])
    else:
        checked_interval(options["interval_seconds"])
    declared = DeclaredSchedule(**options)
    # The zone of the settings is not known here; it is checked where it is known.
    timing_of(declared, "UTC").checked()
    return declared


def as_schedules(value: object, job_type: str) -> tuple[DeclaredSchedule, ...]:
    """Return what a ``schedule=`` option means, each with its name. Raises InvalidSchedule."""
    if value is None:
        return ()
    listed = list(value) if isinstance(value, Iterable) else [value]
    schedules = [one for one in listed if isinstance(one, DeclaredSchedule)]
    if len(schedules) < len(listed):
        raise InvalidSchedule(
            f'schedule={value!r}. Accepted: cron("*/5 * * * *"), every(300), or a list of them.'
        )
    named = tuple(
        dataclasses.replace(one, name=one.name or (job_type if number == 1 else f"{job_type} {number}"))
        for number, one in enumerate(schedules, start=1)
    )
    names = [(one.product, checked_name(one.name)) for one in named]
    for key in names:
        if names.count(key) > 1:
            raise InvalidSchedule(
                f'Two schedules of {job_type} are named "{key[1]}". Give one another name=.'
            )
    return named


def checked_name(name: object) -> str:
    """Return the name of a schedule. Raises InvalidSchedule for what is not accepted."""
    if (
        isinstance(name, str)
        and name.strip()
        and len(name) <= SCHEDULE_NAME_MAX_LENGTH
        and name.isprintable()
    ):
        return name
    raise InvalidSchedule(
        f"A schedule's name is {str(name)[:60]!r}. Accepted: 1 to {SCHEDULE_NAME_MAX_LENGTH} printable characters."
    )


def checked_parameters(parameters: object) -> dict[str, Any]:
    """Return what a schedule gives to its jobs. Raises InvalidParameters unless JSON keeps it."""
    if not isinstance(parameters, Mapping):
        raise InvalidParameters(
            f"The parameters of a schedule are {repr(parameters)[:60]}. Accepted: a JSON object by the names of the "
            'handler\'s parameters, such as {"shop": "berlin"}.'
        )
    try:
        to_json(dict(parameters), max_bytes=_PARAMETERS_MAX_BYTES)
    except NotJson as error:
        raise InvalidParameters(f"The parameters of a schedule are refused: {error}.") from None
    return dict(parameters)


def checked_choice(field: str, value: object, choices: type[E_]) -> E_:
    """Return the choice of that name. Raises InvalidSchedule."""
    try:
        return choices(str(value))
    except ValueError:
        accepted = ", ".join(f'"{choice}"' for choice in choices)
        raise InvalidSchedule(f"{field} is {str(value)[:60]!r}. Accepted: {accepted}.") from None


def checked_whole(field: str, value: object, accepted: Whole) -> int:
    """Return the number. Raises InvalidSchedule unless it is in the range."""
    if isinstance(value, int) and accepted.accepts(value):
        return value
    raise InvalidSchedule(f"{field} is {value!r}. Accepted: {accepted}.")


def refuse_overlapping_catch_up(catch_up: CatchUp, overlap: Overlap) -> None:
    """Raise InvalidSchedule where missed ticks are to make a job each, and overlap with one another.

    They fire at once: all but one would be passed over.
    """
    if catch_up is CatchUp.ALL and overlap is not Overlap.ALLOW:
        raise InvalidSchedule(
            f'catch_up="all" makes a job for each missed tick, and with overlap="{overlap}" all but one of them would '
            'make none. Give it overlap="allow", and the job limits=[Limit(1, key=...)] if one is to run at a time; or '
            'use catch_up="one".'
        )


def refuse_unreplaceable(overlap: Overlap, unique: Uniqueness | None, timing: Timing, job_type: str) -> None:
    """Raise InvalidSchedule where a tick would cancel the running job and make none.

    The cancelled job keeps its equals out until it has ended, or until its period is over: that is so at the next
    tick, except where the period is as long as the shortest known time between ticks.
    """
    if overlap is not Overlap.REPLACE or unique is None or unique.mode is UniqueMode.WHILE_WAITING:
        return
    mode, often, instead = f'"{unique.mode}"', "", ""
    if unique.mode is UniqueMode.ONCE_PER:
        gap = timing.gap_seconds()
        if gap is None or unique.seconds < gap:
            return
        mode, often, instead = f"once_per({unique.seconds})", f" after {gap:.0f} s", "a shorter once_per(), "
    raise InvalidSchedule(
        f'A schedule of {job_type} has overlap="replace", and the job unique={mode}: a tick{often} would cancel the '
        f'running job, which keeps the new one out. Use {instead}unique="while_waiting", or overlap="skip" or "queue".'
    )
