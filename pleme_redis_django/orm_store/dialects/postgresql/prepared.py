"""Prepared statements: what one connection runs again and again is planned by PostgreSQL once.

A worker that is woken for one job runs on a cold processor, and so does the database: planning a claim
takes longer there than running it. Django prepares nothing by itself, because a pooler may put another
server connection beneath a session at any time. Here a name is a digest of its statement, so that such
a connection may not know it, and never knows it as something else; and whoever meets that, or anything
else that a plan can come to grief over, goes on without plans on this connection.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from typing import Any, Protocol, cast

from django.db import DatabaseError, connections

from pleme_redis_django.orm_store.compiled_query import CompiledQuery, M
from pleme_redis_django.orm_store.connection import is_pooled

# Claims of a backlog differ in their limits all the time, and are not worth a plan each.
USES_BEFORE = 5
MAX_PREPARED = 16
MAX_COUNTED = 256
# A plan that was made for a small table may be a bad one for what the table has become.
SLOW_SECONDS = 0.01
SLOW_SECONDS_PER_ROW = 0.0001

# The name is unknown, or known already (both: another server connection), or the plan returns other
# types than before (a migration).
_OTHER_SESSION = frozenset({"26000", "42P05"})
_UNUSABLE = _OTHER_SESSION | {"0A000"}

_DJANGOS_BACKEND = "django.db.backends.postgresql.base"
# What toolbars and tests replace on a connection.
_MAKE_CURSORS = frozenset({"cursor", "_cursor", "make_cursor", "create_cursor", "_prepare_cursor"})

# Where names got lost: a web process may open a connection for each request, and each would meet the same error.
_aliases_without_names: set[str] = set()


class Statement(Protocol):
    """What may be planned: a CompiledQuery, or an insert; compared by identity."""

    @property
    def sql(self) -> str | None: ...
    @property
    def parameters(self) -> tuple[Any, ...]:
        """The first ones, which become a part of the plan."""
        ...


def fetch_prepared(query: CompiledQuery[M], *parameters: Any, varying: int = 1, before: str = "") -> list[M]:
    """Run ``query`` as its ``fetch(*parameters)`` does, planned before where it has been run often enough.

    For statements that differ in their last ``varying`` parameters: the others become a part of the plan.
    Not inside a transaction, which a plan that PostgreSQL refuses would break. ``before``: what the same transaction
    runs first, wherever PostgreSQL takes several statements at once.
    """
    connection: Any = connections[query.using]
    if query.sql is None or connection.features.uses_server_side_binding or connection.queries_logged:
        return query.fetch(*parameters)
    if is_pooled(connection):
        return query.fetch(*parameters)  # The next claim has another session.
    connection.ensure_connection()
    statements = _statements_on(connection)
    return query.instances(statements.fetch(statements.kept_cursor, query, parameters, varying, before))


def rows_prepared(statement: Statement, using: str, *parameters: Any) -> Sequence[Any]:
    """Return the rows of a statement, planned before where it has been run often enough.

    All of its parameters are those of this run. Inside a transaction, which a plan that PostgreSQL refuses would
    break, it is run as it stands.
    """
    connection: Any = connections[using]
    if _keeps_names(connection) and _has_djangos_cursors(connection):
        statements = _statements_of_open(connection)
        found = statements.fetch(statements.kept_cursor, statement, parameters, len(parameters))
        return cast(Sequence[Any], found)
    with connection.cursor() as cursor:
        if _keeps_names(connection):
            found = _statements_on(connection).fetch(cursor, statement, parameters, len(parameters))
        else:
            cursor.execute(statement.sql, parameters)
            found = cursor.fetchall()
    return cast(Sequence[Any], found)


def executed_prepared(statement: Statement, using: str, parameters: tuple[Any, ...]) -> bool:
    """Run a statement that returns no rows, planned before where it has been run often enough; return whether it ran.

    All of its parameters are those of this run. It does not run inside a transaction, which a plan that PostgreSQL
    refuses would break, nor where it would not find its plan again.
    """
    connection: Any = connections[using]
    if using in _aliases_without_names or not _keeps_names(connection):
        return False
    # An insert has no other plan, and may wait for the disk: how long it takes says nothing of its plan.
    if _has_djangos_cursors(connection):
        statements = _statements_of_open(connection)
        statements.execute(statements.kept_cursor, statement, parameters, len(parameters))
    else:
        with connection.cursor() as cursor:
            statements = _statements_on(connection)
            statements.execute(cursor, statement, parameters, len(parameters))
    if statements.lost_names:
        _aliases_without_names.add(using)
    return True


def planned_behind(before: str, statement: Statement, using: str, parameters: tuple[Any, ...]) -> Any | None:
    """Run a statement behind others without values, as one string and one transaction; return the cursor of its result.

    None: it was not run, as with ``executed_prepared``. For the engine's own threads alone.
    """
    connection: Any = connections[using]
    if not _keeps_names(connection) or not _has_djangos_cursors(connection):
        return None
    connection.ensure_connection()
    statements = _statements_on(connection)
    cursor = statements.kept_cursor
    statements.execute(cursor, statement, parameters, len(parameters), before=before)
    while cursor.nextset():
        pass
    return cursor


def _statements_of_open(connection: Any) -> PreparedStatements:
    """Return what the connection has planned, after what Django does before it makes a cursor."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    return _statements_on(connection)


def _keeps_names(connection: Any) -> bool:
    """Whether a plan that is made now would be found again, and breaks nothing where PostgreSQL refuses it."""
    if connection.in_atomic_block or connection.queries_logged:
        return False
    return not (connection.features.uses_server_side_binding or is_pooled(connection))


def _has_djangos_cursors(connection: Any) -> bool:
    """Whether nobody else has a say in a new cursor, such as django-tenants, which sets the schema there."""
    if type(connection).__module__ != _DJANGOS_BACKEND:
        return False
    own = vars(connection)
    # Django's test cases leave the methods of the class on a connection that they had closed to a test.
    return own.keys().isdisjoint(_MAKE_CURSORS) or all(
        getattr(own[name], "__func__", None) is getattr(type(connection), name)
        for name in own.keys() & _MAKE_CURSORS
    )


class PreparedStatements:
    """What one connection has planned; for the thread that the connection belongs to."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection.connection
        self._ops = connection.ops
        # Opening one takes Django a third of the time that a statement takes.
        self.kept_cursor = connection.cursor()
        self._uses: dict[Statement, int] = {}
        self._names: dict[Statement, str] = {}
        """In the order of their last use."""
        self._outdated: list[str] = []
        self._usable = True
        self.lost_names = False
        """Whether another server connection was met beneath this one."""

    def fetch(
        self, cursor: Any, query: Statement, parameters: tuple[Any, ...], varying: int, before: str = ""
    ) -> Any:
        """Return the rows of ``query``; as ``execute``, and a plan that has become slow is made anew."""
        started = time.monotonic()
        self.execute(cursor, query, parameters, varying, before)
        while before and cursor.nextset():
            pass
        rows = cursor.fetchall()
        if (
            time.monotonic() - started > SLOW_SECONDS + SLOW_SECONDS_PER_ROW * len(rows)
            and query in self._names
        ):
            self._outdate(query)
        return rows

    def execute(
        self, cursor: Any, query: Statement, parameters: tuple[Any, ...], varying: int, before: str = ""
    ) -> None:
        """Run ``query``, by its plan where it has one or gets one.

        The last ``varying`` parameters are given to each run of the plan; the others become a part of it.
        ``before``: what the same transaction runs first.
        """
        before = f"{before}; " if before else ""
        if self._usable and (query in self._names or self._count_use(query) > USES_BEFORE):
            try:
                self._execute_planned(cursor, query, parameters, varying, before)
            except DatabaseError as error:
                sqlstate = getattr(error.__cause__, "sqlstate", None)
                if sqlstate not in _UNUSABLE:
                    raise
                self._usable, self.lost_names = False, sqlstate in _OTHER_SESSION
            else:
                return
        cursor.execute(f"{before}{query.sql}", (*query.parameters, *parameters))

    def _count_use(self, query: Statement) -> int:
        if len(self._uses) >= MAX_COUNTED:
            self._uses.clear()
        self._uses[query] = self._uses.get(query, 0) + 1
        return self._uses[query]

    def _execute_planned(
        self, cursor: Any, query: Statement, parameters: tuple[Any, ...], varying: int, before: str
    ) -> None:
        if query in self._names:
            name = self._names[query] = self._names.pop(query)
            cursor.execute(f"{before}{_execute_sql(name, varying)}", parameters[len(parameters) - varying :])
            return
        cursor.execute(before + self._first_time(query, parameters, varying))
        while cursor.nextset():
            pass

    def _first_time(self, query: Statement, parameters: tuple[Any, ...], varying: int) -> str:
        """Return the statements that plan ``query`` and run it; in one round trip, and one transaction."""
        compose = self._ops.compose_sql
        before, *behind = str(query.sql).rsplit("%s", varying) if varying else (str(query.sql),)
        constants = (*query.parameters, *parameters[: len(parameters) - varying])
        text = compose(before, constants) + "".join(
            f"${number}{compose(part, ())}" for number, part in enumerate(behind, 1)
        )
        name = f"pleme_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        if len(self._names) >= MAX_PREPARED:
            self._outdate(next(iter(self._names)))
        statements = [f"DEALLOCATE {outdated}" for outdated in self._outdated]
        # PostgreSQL keeps and drops names at once: a failure further on takes neither back.
        self._names[query], self._outdated = name, []
        run = compose(_execute_sql(name, varying), parameters[len(parameters) - varying :])
        return "; ".join([*statements, f"PREPARE {name} AS {text}", run])

    def _outdate(self, query: Statement) -> None:
        self._outdated.append(self._names.pop(query))
        self._uses.pop(query, None)


def _execute_sql(name: str, varying: int) -> str:
    return f"EXECUTE {name}({', '.join(['%s'] * varying)})" if varying else f"EXECUTE {name}"


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.by_alias: dict[str, PreparedStatements] = {}


_of_thread = _OfThread()


def _statements_on(connection: Any) -> PreparedStatements:
    statements = _of_thread.by_alias.get(connection.alias)
    if statements is None or statements.connection is not connection.connection:
        statements = _of_thread.by_alias[connection.alias] = PreparedStatements(connection)
    return statements
