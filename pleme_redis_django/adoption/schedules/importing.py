"""import_entries(): entries of another scheduler become rows of Schedule, each in a transaction of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError

from pleme_redis_django.adoption.schedules.entry import CannotExpress, Entry, ForeignSchedule, NotNeeded
from pleme_redis_django.exceptions import InvalidParameters, PlemeError
from pleme_redis_django.jobs.definitions.arguments import by_name
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.jobs.definitions.schedule_values import Overlap
from pleme_redis_django.jobs.definitions.timing_in_words import in_words
from pleme_redis_django.models import Schedule
from pleme_redis_django.models.schedule import ScheduleSource
from pleme_redis_django.schedules.controls import save_schedule
from pleme_redis_django.schedules.moments import stored, stored_or_none
from pleme_redis_django.schedules.reading import read_schedule
from pleme_redis_django.schedules.tables import Clock, database_now, schedules
from pleme_redis_django.wording import did_you_mean

IMPORTED_BY = "importschedules"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSchedule:
    """An entry that was imported, or could be."""

    name: str
    words: str
    notes: tuple[str, ...]


@dataclasses.dataclass(slots=True, kw_only=True)
class Imports:
    """What became of the entries of one scheduler."""

    imported: list[ImportedSchedule] = dataclasses.field(default_factory=list)
    """With a dry run: could be."""
    there: list[str] = dataclasses.field(default_factory=list)
    """Names that the product has already."""
    refused: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """Names of the entries that cannot be expressed, and why."""
    not_needed: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """Names of the entries that have no work to do here, and why."""
    paths: set[str] = dataclasses.field(default_factory=set)
    """What the entries call."""


def import_entries(
    entries: Iterable[Entry],
    *,
    product: str,
    using: str,
    renamed: Mapping[str, str] | None = None,
    dry_run: bool = False,
    clock: Clock = database_now,
) -> Imports:
    """Store a schedule for each entry that one can be made of, or only look at them.

    ``renamed``: from what an entry calls to its job type here. A name that the product has already is left as it is,
    so a second run changes nothing, and a run that was cut off can be repeated. Each schedule is one transaction: an
    entry that cannot be expressed does not keep back the others.
    """
    imports, now = Imports(), clock(using)
    known = set(schedules(using).filter(product=product).values_list("name", flat=True))
    for entry in entries:
        if entry.name in known:
            imports.there.append(entry.name)
            continue
        try:
            said = entry.read()
            imports.paths.add(said.path)
            row = _row(entry.name, said, product, renamed or {}, now)
            if not dry_run:
                save_schedule(row, using=using, clock=clock)
        except NotNeeded as reason:
            imports.not_needed.append((entry.name, str(reason)))
        except InvalidParameters as error:
            imports.refused.append(
                (entry.name, f"{error} Correct its arguments there, or change the handler")
            )
        except PlemeError as error:
            imports.refused.append((entry.name, str(error)))
        except IntegrityError:
            # Another run was faster.
            imports.there.append(entry.name)
        else:
            known.add(entry.name)
            imports.imported.append(_imported(row, said))
    return imports


def _row(
    name: str, said: ForeignSchedule, product: str, renamed: Mapping[str, str], now: datetime
) -> Schedule:
    """Return the row of an entry, checked as the form of the admin checks one. Raises CannotExpress and PlemeError."""
    definition = _definition(said.path, renamed)
    timing = said.timing.checked()
    row = Schedule(
        product=product,
        name=name,
        source=ScheduleSource.ADMIN,
        job_type=definition.name,
        parameters=_parameters(definition, said),
        queue_name=said.queue_name,
        cron=timing.cron,
        interval_seconds=timing.interval_seconds,
        timezone=timing.timezone,
        starts_at=stored_or_none(timing.starts_at),
        ends_at=stored_or_none(timing.ends_at),
        catch_up=said.catch_up.value,
        # None of the other schedulers asks whether the previous call has ended.
        overlap=Overlap.ALLOW.value,
    )
    if said.pause_reason:
        row.paused_at, row.paused_by, row.pause_reason = stored(now), IMPORTED_BY, said.pause_reason
    row.parameters = read_schedule(row).parameters
    if timing.next_after(now) is None:
        raise CannotExpress("it has ended, and never fires again. Delete it there, or give it a later end")
    return row


def _definition(path: str, renamed: Mapping[str, str]) -> JobDefinition[Any, Any]:
    definition = registry.find(renamed.get(path, path))
    if definition is None:
        hint = did_you_mean(
            path, [each.name for each in registry], otherwise="Decorate the function with @job."
        )
        raise CannotExpress(
            f'no @job is named "{path}". {hint} Or say which one it is: --map {path}=NAME_OF_THE_JOB'
        )
    return definition


def _parameters(definition: JobDefinition[Any, Any], said: ForeignSchedule) -> dict[str, Any]:
    """Return the arguments as an enqueue stores them: either as values, or as they are stored already."""
    try:
        return definition.bind(tuple(said.args), said.kwargs)
    except InvalidParameters as refusal:
        try:
            bound = definition.signature.bind(*said.args, **said.kwargs)
            # JSON has text where the annotation wants a time, a UUID or a Decimal.
            return definition.reencoded_parameters(by_name(bound))
        except (InvalidParameters, TypeError):
            raise refusal from None


def _imported(row: Schedule, said: ForeignSchedule) -> ImportedSchedule:
    words = f"{row.job_type}, {in_words(said.timing.checked())}"
    return ImportedSchedule(
        name=row.name, words=f"{words}, paused" if row.paused_at is not None else words, notes=said.notes
    )
