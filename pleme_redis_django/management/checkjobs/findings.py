"""What in the database this code cannot run: types that it does not know, parameters that its handlers do not take."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from pleme_redis_django.exceptions import EncryptionKeyMissing, InvalidJobDefinition, InvalidParameters
from pleme_redis_django.jobs.definitions.registry import JobRegistry, registry
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.middleware.encryption.envelope import is_encrypted
from pleme_redis_django.middleware.encryption.reading import decrypted
from pleme_redis_django.models import Schedule
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.schedules.reading import UNREADABLE, read_schedule

# A running job whose worker process is replaced runs again, with the new code.
OPEN_STATUSES = (*WAITING_STATUSES, JobStatus.RUNNING)
ROWS_PER_READ = 2_000
UNKNOWN = "no pool of this code runs the type"


@dataclasses.dataclass(slots=True, kw_only=True)
class Finding:
    """One reason why this code cannot run some rows."""

    where: str
    """The model of the rows, such as ``shop.ExportJob``."""
    job_type: str
    problem: str
    example: str
    """The id of the first such job, or the product and the name of a schedule."""
    count: int = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TableReading:
    """What came of reading a table."""

    findings: list[Finding]
    rows: int
    is_whole: bool
    """False: the limit was reached before the last row."""


def read_jobs(
    table: JobTable[Any],
    known: frozenset[str] | None,
    *,
    limit: int,
    definitions: JobRegistry = registry,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> TableReading:
    """Read the jobs that wait or run, oldest first, ``limit`` of them; ``known``: the types that its pools run.

    ``on_rows`` is told how many rows have been read, now and then.
    """
    waiting = table.rows().filter(status__in=OPEN_STATUSES, deleted_at=None).order_by("id")
    found: dict[tuple[str, str], Finding] = {}
    rows = 0
    # One more than the limit: then there are more.
    fields = waiting.values_list("id", "job_type", "parameters")[: limit + 1]
    for job_id, job_type, parameters in fields.iterator(chunk_size=ROWS_PER_READ):
        if rows == limit:
            return TableReading(findings=list(found.values()), rows=rows, is_whole=False)
        rows += 1
        if rows % ROWS_PER_READ == 0:
            on_rows(rows)
        if (problem := _problem(job_type, parameters, known, definitions)) is None:
            continue
        kind, said = problem
        if (job_type, kind) in found:
            found[job_type, kind].count += 1
        else:
            found[job_type, kind] = Finding(
                where=table.model._meta.label, job_type=job_type, problem=said, example=str(job_id)
            )
    return TableReading(findings=list(found.values()), rows=rows, is_whole=True)


def read_schedules(using: str, definitions: JobRegistry = registry) -> Iterator[Finding]:
    """Yield a finding for each schedule that this code cannot read; one that is disabled fires nothing."""
    for row in Schedule.objects.using(using).filter(enabled=True).order_by("product", "name"):
        try:
            read_schedule(row, definitions)
        except UNREADABLE as error:
            yield Finding(
                where=Schedule._meta.label,
                job_type=row.job_type,
                problem=str(error),
                example=f"{row.product}: {row.name}",
            )


def _problem(
    job_type: str, parameters: Any, known: frozenset[str] | None, definitions: JobRegistry
) -> tuple[str, str] | None:
    """Return what is wrong with a row, as what rows are counted by and in words; values differ from row to row."""
    if known is not None and job_type not in known:
        return UNKNOWN, UNKNOWN
    # An executor of the project's own knows its types' parameters alone.
    if (definition := definitions.find(job_type)) is None:
        return None
    if not isinstance(parameters, dict):
        said = f"the parameters are a {type(parameters).__name__}, and have to be a JSON object"
        return said, said
    try:
        definition.decoded_parameters(decrypted(job_type, parameters))
    except InvalidParameters as error:
        said = str(error)
        if error.parameter and is_encrypted(parameters):
            # Its words have the value.
            said = (
                f"the parameter {error.parameter} is encrypted, and its value is not what the annotation says"
            )
        return error.parameter or said, said
    except (EncryptionKeyMissing, InvalidJobDefinition) as error:
        return str(error), str(error)
    return None
