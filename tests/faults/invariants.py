"""The invariants of jobs under faults, each a query whose rows would be the jobs that break it."""

from __future__ import annotations

from tests.faults.effects import rows

_TERMINAL = "('COMPLETED', 'FAILED', 'CANCELLED')"

BROKEN = {
    "I1: a job has not completed": """
        SELECT id, status, attempt, retry_count, error_message FROM pleme_redis_django_job
        WHERE status <> 'COMPLETED'
    """,
    "I2: a job has not exactly one accepted ending": f"""
        SELECT job.id, count(ending.job_id) FROM pleme_redis_django_job job
        LEFT JOIN fault_transitions ending ON ending.job_id = job.id AND ending.new_status IN {_TERMINAL}
        GROUP BY job.id HAVING count(ending.job_id) <> 1
    """,
    "I2: an ending was accepted of an attempt that was not the last": f"""
        SELECT job.id, job.attempt, ending.attempt FROM pleme_redis_django_job job
        JOIN fault_transitions ending ON ending.job_id = job.id AND ending.new_status IN {_TERMINAL}
        WHERE ending.attempt <> job.attempt
    """,
    "I2: the result is not that of the accepted attempt": """
        SELECT id, attempt, results FROM pleme_redis_django_job WHERE results <> to_jsonb(attempt)
    """,
    "I2: the accepted attempt has not done its work": """
        SELECT job.id, job.attempt FROM pleme_redis_django_job job
        WHERE NOT EXISTS (
            SELECT FROM fault_effects effect
            WHERE effect.job_id = job.id AND effect.attempt = job.attempt AND effect.what = 'end'
        )
    """,
    "I3: an attempt ran more than once": """
        SELECT job_id, attempt, count(*) FROM fault_effects WHERE what = 'begin'
        GROUP BY job_id, attempt HAVING count(*) > 1
    """,
    "I3: a job ran more often than 1 + the retries, rescues and give-backs that explain it": """
        SELECT job.id, runs.count, explained.count FROM pleme_redis_django_job job,
        LATERAL (SELECT count(*) FROM fault_effects WHERE job_id = job.id AND what = 'begin') runs,
        LATERAL (SELECT count(*) FROM fault_transitions WHERE job_id = job.id
                 AND old_status = 'RUNNING' AND new_status IN ('QUEUED', 'PENDING')) explained
        WHERE runs.count > 1 + explained.count
    """,
    "I3: a claim is not in the count of attempts": """
        SELECT job.id, job.attempt, count(*) FROM pleme_redis_django_job job
        JOIN fault_transitions claim ON claim.job_id = job.id AND claim.new_status = 'RUNNING'
        GROUP BY job.id HAVING job.attempt <> count(*)
    """,
    "a status change that the state machine does not know": """
        SELECT job_id, old_status, new_status FROM fault_transitions
        WHERE (old_status, new_status) NOT IN (
            ('PENDING', 'QUEUED'), ('QUEUED', 'RUNNING'), ('RUNNING', 'QUEUED'), ('RUNNING', 'PENDING'),
            ('RUNNING', 'COMPLETED'), ('RUNNING', 'FAILED'), ('RUNNING', 'CANCELLED'))
    """,
}


def assert_invariants() -> None:
    """Fail with the first rows of every invariant that is broken."""
    broken = {name: found[:5] for name, sql in BROKEN.items() if (found := rows(sql))}
    assert broken == {}
