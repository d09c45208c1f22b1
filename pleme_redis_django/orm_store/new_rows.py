"""New rows: the one list of the columns that an insert writes, and the values that they come from.

What no insert writes is left to the defaults of the database.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, Protocol, TypeVar, overload
from uuid import UUID

from django.db.models.functions import Now

from pleme_redis_django.jobs.definitions.uniqueness import Uniqueness
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.json_text import from_json
from pleme_redis_django.models.job import AbstractJob

J = TypeVar("J", bound=AbstractJob)

ROWS_PER_STATEMENT = 2_000
NO_METADATA = "{}"
ALWAYS_SAID = object()


class KeysOfRows(Protocol):
    """How rows get their keys."""

    @property
    def is_ordered(self) -> bool: ...
    def of(self, parameters: dict[str, Any]) -> tuple[str | None, str | None]: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RowTemplate:
    """What all rows of one enqueue call share."""

    job_type: str
    product: str
    queue_name: str
    priority: int
    run_after: datetime | None
    """None: due when the database stores it."""
    timeout_seconds: float | None
    expires_at: datetime | None
    expires_in_seconds: float | None
    """From the time at which the database stores it, where there is no ``expires_at``."""
    max_retries: int
    configuration_json: str | None
    uniqueness: Uniqueness | None
    unique_key: str | None
    metadata_json: str
    keys: KeysOfRows | None = None
    """None: its rows have neither a concurrency key nor an order key."""
    cost: int = 1
    unsaid: frozenset[str] = dataclasses.field(init=False, repr=False, compare=False)
    """The columns for which nothing is sent: the rows have there what the database gives a row by itself."""
    status: JobStatus = dataclasses.field(init=False, repr=False, compare=False)
    status_text: str = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Not a property: each enqueue reads it twice, and a template is kept.
        status = self._status()
        object.__setattr__(self, "status", status)
        object.__setattr__(self, "status_text", status.value)
        unsaid = frozenset(column.name for column in NEW_ROW_COLUMNS if column.is_unsaid(self))
        object.__setattr__(self, "unsaid", unsaid)

    def _status(self) -> JobStatus:
        # Only the database's clock says whether a given time is past: a claimer promotes the row.
        if self.run_after is not None:
            return JobStatus.PENDING
        # Whose turn it is in its line is said after the commit.
        return JobStatus.BLOCKED if self.keys is not None and self.keys.is_ordered else JobStatus.QUEUED

    @property
    def configuration(self) -> dict[str, Any] | None:
        # Each time another dict: a template is kept, and a job is its caller's.
        return None if self.configuration_json is None else from_json(self.configuration_json)

    @property
    def metadata(self) -> Any:
        return {} if self.metadata_json == NO_METADATA else from_json(self.metadata_json)


# A frozen dataclass costs three times as much to make, and a call may make thousands.
class NewRow(NamedTuple):
    """What one row has of its own."""

    id: UUID
    parameters: dict[str, Any]
    parameters_json: str
    unique_slot: str | None
    concurrency_key: str | None = None
    order_key: str | None = None
    blocked_on: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column that an insert writes; its value is what ``RowTemplate`` calls so, or ``NewRow``."""

    name: str
    _: dataclasses.KW_ONLY
    option: str = ""
    """The option of ``@job`` and ``using()`` that says its value as it is; "": the enqueue works it out."""
    of_each_row: bool = False
    """Whether rows of one call differ in it: then it is a field of ``NewRow``."""
    sent_as: str = ""
    """The attribute that is sent to PostgreSQL in place of the value, such as its JSON text."""
    cast: str = ""
    """The type as which PostgreSQL reads what is sent; "": text or a number."""
    seconds_from_now: str = ""
    """What the attribute of this name says in seconds from the time of the statement, where the value is None."""
    unsaid_as: object = ALWAYS_SAID
    """What is not sent, since the database gives it to a row by itself."""
    unsaid_without: str = ""
    """Of a column of each row: the field of the template without which no row has another value."""
    is_loaded: bool = True
    """Whether each enqueued job has the value; else it is read when it is asked for."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names of what is sent, in the order of its places in the statement."""
        return tuple(name for name in (self.sent_as or self.name, self.seconds_from_now) if name)

    def is_unsaid(self, template: RowTemplate) -> bool:
        """Whether no row of a template has another value than the database's own."""
        if self.unsaid_as is ALWAYS_SAID:
            return False
        if self.of_each_row:
            return getattr(template, self.unsaid_without) is None
        return all(getattr(template, name) == self.unsaid_as for name in self.attributes)


# In the order of the model's fields.
NEW_ROW_COLUMNS = (
    Column("id", of_each_row=True, cast="uuid"),
    Column("product"),
    Column("job_type"),
    Column("queue_name", option="queue_name"),
    Column("priority", option="priority"),
    Column("status", sent_as="status_text"),
    Column("parameters", of_each_row=True, sent_as="parameters_json", cast="jsonb"),
    Column("configuration", sent_as="configuration_json", cast="jsonb", unsaid_as=None),
    # Each job would have the same dict.
    Column("metadata", sent_as="metadata_json", cast="jsonb", unsaid_as=NO_METADATA, is_loaded=False),
    Column("max_retries"),
    # Only the database knows its time.
    Column("run_after", cast="timestamptz", unsaid_as=None, is_loaded=False),
    Column("unique_slot", of_each_row=True, unsaid_as=None, unsaid_without="uniqueness"),
    Column("concurrency_key", of_each_row=True, unsaid_as=None, unsaid_without="keys", is_loaded=False),
    Column("order_key", of_each_row=True, unsaid_as=None, unsaid_without="keys", is_loaded=False),
    Column("cost", unsaid_as=1, is_loaded=False),
    Column("blocked_on", of_each_row=True, unsaid_as=None, unsaid_without="keys", is_loaded=False),
    Column("timeout_seconds", option="timeout", cast="float8", unsaid_as=None, is_loaded=False),
    Column(
        "expires_at",
        cast="timestamptz",
        seconds_from_now="expires_in_seconds",
        unsaid_as=None,
        is_loaded=False,
    ),
)
SHARED_COLUMNS = tuple(column for column in NEW_ROW_COLUMNS if not column.of_each_row)
OWN_COLUMNS = tuple(column for column in NEW_ROW_COLUMNS if column.of_each_row)

_SAID_BY_OPTIONS = tuple((column.name, column.option) for column in NEW_ROW_COLUMNS if column.option)


def said_by_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a template that an option says as it is; None for one that is not given."""
    return {name: options.get(option) for name, option in _SAID_BY_OPTIONS}


# Picked by C code: a call may have ten thousand rows.
_LOADED_NAMES = tuple(column.name for column in NEW_ROW_COLUMNS if column.is_loaded)
_SHARED_NAMES = tuple(column.name for column in SHARED_COLUMNS if column.is_loaded)
_OWN_NAMES = tuple(column.name for column in OWN_COLUMNS if column.is_loaded)
_shared_values, _own_values = attrgetter(*_SHARED_NAMES), attrgetter(*_OWN_NAMES)
_in_order = itemgetter(*((*_SHARED_NAMES, *_OWN_NAMES).index(name) for name in _LOADED_NAMES))


def jobs_of(model: type[J], using: str, template: RowTemplate, rows: Sequence[NewRow]) -> Sequence[J]:
    """Return stored rows as instances of a job model; what the database filled in is loaded when asked for."""
    jobs = NewJobs(model, using, template, rows)
    return [jobs[0]] if len(rows) == 1 else jobs


class NewJobs(Sequence[J]):
    """The jobs of stored rows, each made when it is first asked for: most callers never look at thousands."""

    def __init__(self, model: type[J], using: str, template: RowTemplate, rows: Sequence[NewRow]) -> None:
        self._from_db, self._using = model.from_db, using
        self._shared = _shared_values(template)
        self._run_after = template.run_after
        self._rows = rows
        self._made: dict[int, J] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> J: ...
    @overload
    def __getitem__(self, index: slice) -> list[J]: ...
    def __getitem__(self, index: int | slice) -> J | list[J]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self._rows)))]
        position = range(len(self._rows))[index]
        job = self._made.get(position)
        if job is None:
            values = _in_order((*self._shared, *_own_values(self._rows[position])))
            job = self._made[position] = self._from_db(self._using, _LOADED_NAMES, values)
            job.is_new = True
            if self._run_after is not None:
                job.run_after = self._run_after
        return job

    def __iter__(self) -> Iterator[J]:
        return map(self.__getitem__, range(len(self._rows)))

    def __repr__(self) -> str:
        return f"<{len(self._rows)} new jobs>"


def fields_of(template: RowTemplate, row: NewRow) -> dict[str, Any]:
    """Return the fields of an instance that the ORM is to insert; None is left to the defaults."""
    values = {
        column.name: getattr(row if column.of_each_row else template, column.name)
        for column in NEW_ROW_COLUMNS
    }
    if template.expires_at is None and template.expires_in_seconds is not None:
        values["expires_at"] = Now() + timedelta(seconds=template.expires_in_seconds)
    return {name: value for name, value in values.items() if value is not None}
