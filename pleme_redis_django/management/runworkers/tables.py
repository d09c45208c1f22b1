"""The look at the tables before any worker process starts: a project that was not migrated is refused.

A fair pool without its index starts, and is told of.

Its own connection, closed at once: neither the supervisor nor a program that calls the command
keeps one, and an open transaction of that program is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from django.apps import apps
from django.core.management.base import CommandError
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool
from pleme_redis_django.event_log import first_line
from pleme_redis_django.management.runworkers.database import bound_waits_of
from pleme_redis_django.models import model_label

# PostgreSQL's undefined_table and undefined_column (documentation, appendix A).
_MISSING_STATES = frozenset({"42P01", "42703"})


def look_at_tables(parts: Sequence[ConfiguredPool], *, must_answer: bool, say: Callable[[str], None]) -> None:
    """Raise CommandError when a table or column is missing, and when a database that must answer does not."""
    alias = get_settings().database
    connection = connections[alias].copy()
    bound_waits_of(connection)
    try:
        connection.ensure_connection()
        missing = next(_missing(connection, _models(parts)), None)
    except DatabaseError as error:
        text = f'The database "{alias}" cannot be used: {first_line(error)}.'
        if must_answer:
            raise CommandError(f"{text} Start it, or correct DATABASES.") from None
        say(f"{text} The workers keep trying.")
        return
    finally:
        connection.close()
    if missing is not None:
        model, reason = missing
        raise CommandError(
            f'The database "{alias}" has not all of {model_label(model)} (table {model._meta.db_table}): '
            f"{first_line(reason)}. Run manage.py migrate."
        )


def _models(parts: Iterable[ConfiguredPool]) -> list[type[Model]]:
    ours = apps.get_app_config("pleme_redis_django").get_models()
    return list(dict.fromkeys([*(one.model for one in parts), *(one for one in ours if one._meta.managed)]))


def _missing(
    connection: BaseDatabaseWrapper, models: Iterable[type[Model]]
) -> Iterator[tuple[type[Model], DatabaseError]]:
    quoted = connection.ops.quote_name
    for model in models:
        # By hand, because the ORM leaves out a query that can have no rows.
        columns = ", ".join(quoted(field.column) for field in model._meta.concrete_fields if field.column)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT {columns} FROM {quoted(model._meta.db_table)} WHERE 1 = 0")  # noqa: S608 - names only
        except DatabaseError as error:
            if not _is_missing(error):
                raise
            yield model, error


def _is_missing(error: DatabaseError) -> bool:
    state = getattr(error.__cause__, "sqlstate", None)
    return state in _MISSING_STATES or str(error).startswith(("no such table", "no such column"))
