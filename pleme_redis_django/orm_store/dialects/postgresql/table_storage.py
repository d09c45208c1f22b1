"""Storage of a job table: its size, dead rows, vacuums and settings, out of PostgreSQL's catalogs and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections

from pleme_redis_django.orm_store.fairness.index import is_name_of_one
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.table_storage import IndexStorage, RunningVacuum, TableStorage

# Who may not see what others do is told of a vacuum that it runs, by its pid, but not on which table: its lock
# on the table tells that.
_STORAGE_SQL = """
SELECT pg_table_size(job.oid), pg_indexes_size(job.oid),
       COALESCE(stats.n_live_tup, 0), COALESCE(stats.n_dead_tup, 0),
       GREATEST(stats.last_vacuum, stats.last_autovacuum), GREATEST(stats.last_analyze, stats.last_autoanalyze),
       COALESCE(job.reloptions::text, '') NOT LIKE %s,
       current_setting('autovacuum')::bool AND COALESCE(
           (SELECT option_value::bool FROM pg_options_to_table(job.reloptions)
            WHERE option_name = 'autovacuum_enabled'), true),
       indexes.names, indexes.sizes,
       vacuum.pid, vacuum.phase,
       CASE vacuum.phase WHEN 'scanning heap' THEN vacuum.heap_blks_scanned::float / GREATEST(heap_blks_total, 1)
                         WHEN 'vacuuming heap' THEN vacuum.heap_blks_vacuumed::float / GREATEST(heap_blks_total, 1)
       END
FROM pg_class AS job
CROSS JOIN LATERAL (
    SELECT COALESCE(array_agg(relname::text ORDER BY relname), '{}') AS names,
           COALESCE(array_agg(pg_relation_size(oid) ORDER BY relname), '{}') AS sizes
    FROM pg_class WHERE oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = job.oid)
) AS indexes
LEFT JOIN pg_stat_all_tables AS stats ON stats.relid = job.oid
LEFT JOIN LATERAL (
    SELECT progress.* FROM pg_stat_progress_vacuum AS progress JOIN pg_locks AS held ON held.pid = progress.pid
    WHERE held.locktype = 'relation' AND held.granted AND held.mode = 'ShareUpdateExclusiveLock'
      AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND held.relation = job.oid
    LIMIT 1
) AS vacuum ON true
WHERE job.oid = %s::regclass
"""
_STOCK_SQL = """
SELECT relname FROM pg_class
WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid) AND relname = ANY(%s)
  AND COALESCE(reloptions::text, '') NOT LIKE %s
"""
_OWN_SETTINGS = "%autovacuum_vacuum_%"


def table_storage(table: JobTable[Any]) -> TableStorage:
    """Return what is known of the table now. It waits while another transaction has the table for itself."""
    with connections[table.using].cursor() as cursor:
        cursor.execute(_STORAGE_SQL, [_OWN_SETTINGS, table.sql_name])
        table_bytes, index_bytes, live, dead, vacuumed, analyzed, is_stock, is_on, *others = cursor.fetchone()
    names, sizes, pid, phase, done = others
    indexes = (IndexStorage(name=name, bytes=size) for name, size in zip(names, sizes, strict=True))
    return TableStorage(
        table_bytes=table_bytes,
        index_bytes=index_bytes,
        live_rows=live,
        dead_rows=dead,
        vacuumed_at=vacuumed,
        analyzed_at=analyzed,
        vacuum=None if pid is None else RunningVacuum(pid=pid, phase=phase or "", done=done),
        has_stock_settings=is_stock,
        is_autovacuumed=is_on,
        fair_indexes=tuple(index for index in indexes if is_name_of_one(index.name)),
    )


def stock_tables(using: str, names: Sequence[str]) -> list[str]:
    """Return which of the tables are vacuumed by their size, as the server's settings have it."""
    with connections[using].cursor() as cursor:
        cursor.execute(_STOCK_SQL, [list(names), _OWN_SETTINGS])
        return sorted(name for (name,) in cursor.fetchall())
