"""The oldest snapshot: what keeps every vacuum of the database from removing rows that have died since."""

from __future__ import annotations

from django.db import connections

from pleme_redis_django.orm_store.table_storage import QUERY_SHOWN, OldestSnapshot

_HIDDEN = "<insufficient privilege>"
# A transaction that writes, in whichever database, is in every snapshot that is taken meanwhile; what one of
# another database only reads holds nothing back here. A vacuum holds back no other one. Of several that are
# equally old the first one made the others so.
_OLDEST_SQL = """
SELECT kind, name, database, pid, username, application, state, seconds, transactions, query
FROM (
    SELECT CASE WHEN pid IN (SELECT pid FROM pg_stat_replication) THEN 'standby' ELSE 'session' END AS kind,
           '' AS name, datname AS database, pid, usename AS username, application_name AS application, state,
           CASE WHEN datname IS NOT NULL
                THEN EXTRACT(epoch FROM clock_timestamp() - xact_start)::float END AS seconds,
           GREATEST(CASE WHEN COALESCE(datname, current_database()) = current_database()
                         THEN age(backend_xmin) END, age(backend_xid)) AS transactions,
           left(query, %s) AS query
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)
  UNION ALL
    SELECT 'prepared transaction', gid, database, NULL, owner, '', '',
           EXTRACT(epoch FROM clock_timestamp() - prepared)::float, age(transaction), ''
    FROM pg_prepared_xacts
  UNION ALL
    SELECT 'replication slot', slot_name, database, active_pid, '', '',
           CASE WHEN active THEN 'active' ELSE 'not in use' END, NULL, age(xmin), ''
    FROM pg_replication_slots
) AS snapshot
WHERE transactions IS NOT NULL
ORDER BY transactions DESC, seconds DESC NULLS LAST
LIMIT 1
"""


def oldest_snapshot(using: str) -> OldestSnapshot | None:
    """Return the oldest snapshot but that of this session; None: there is no other."""
    with connections[using].cursor() as cursor:
        cursor.execute(_OLDEST_SQL, [QUERY_SHOWN])
        found = cursor.fetchone()
    if found is None:
        return None
    kind, name, database, pid, user, application, state, seconds, transactions, query = found
    return OldestSnapshot(
        kind=kind,
        name=name,
        database=database or "",
        pid=pid,
        user=user or "",
        application=application or "",
        state=state or "",
        seconds=seconds,
        transactions=transactions,
        query="" if query == _HIDDEN else query or "",
        is_hidden=query == _HIDDEN,
    )
