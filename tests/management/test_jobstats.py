"""manage.py jobstats: what it shows, as text and as JSON, and when it fails."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.core.management import CommandError
from django.db import connections
from django.test.utils import CaptureQueriesContext, override_settings

from pleme_redis_django.jobs.interface.job import JobStatus
from tests.database_sessions import REPEATABLE, another_session, snapshot_of
from tests.management.jobstats_runs import as_json, jobstats, some_jobs
from tests.rows import BACKENDS, ago, make_failed_job, make_job, make_worker
from tests.workload.models import EmailJob

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


@pytest.mark.parametrize("using", BACKENDS)
def test_json_holds_every_number(using: str) -> None:
    some_jobs(using)
    report = as_json(using=using)
    (table,) = report["tables"]
    assert table["model"] == "pleme_redis_django.job"
    assert table["pools"] == ["default"]
    assert table["counts"] == {
        "PENDING": 0,
        "BLOCKED": 1,
        "QUEUED": 2,
        "RUNNING": 1,
        "COMPLETED": 2,
        "FAILED": 1,
        "CANCELLED": 0,
    }
    assert table["oldest_ready_seconds"] == pytest.approx(200, abs=20)
    assert table["average_retries"] == 0.5
    assert table["stale"] == {"jobs": 1, "after_seconds": 7200}
    assert [(one["product"], one["queue_name"]) for one in table["queues"]] == [
        ("default", "default"),
        ("default", "email"),
        ("novaskyn", "default"),
    ]
    assert [(one["error_code"], one["jobs"]) for one in table["failure_reasons"]] == [("timeout", 1)]
    assert [(one["job_type"], one["jobs"]) for one in table["unserved_types"]] == [("shop.gone", 1)]
    workers = report["workers"]
    assert (workers["alive"], workers["dead"]) == (1, 1)
    assert {(one["host"], one["alive"]) for one in workers["processes"]} == {
        ("web-1", True),
        ("web-2", False),
    }
    assert report["exceeded"] == []


@pytest.mark.parametrize("using", BACKENDS)
def test_a_project_of_naive_times_gets_its_report(using: str) -> None:
    with override_settings(USE_TZ=False, TIME_ZONE="America/New_York"):
        make_failed_job(using, "timeout")
        make_worker(using)
        text = jobstats(using=using)
        assert any(line.split()[:2] == ["timeout", "1"] for line in text.splitlines())
        assert "worker processes: 1 alive, 0 dead" in text
        report = as_json(using=using)
        (reason,) = report["tables"][0]["failure_reasons"]
    assert reason["error_code"] == "timeout"
    (worker,) = report["workers"]["processes"]
    assert 0 <= worker["silent_seconds"] < 60


@pytest.mark.parametrize("using", BACKENDS)
def test_the_text_counts_blocked_jobs_in_all_and_of_each_queue(using: str) -> None:
    for _ in range(3):
        make_job(using, queue_name="email", status=JobStatus.BLOCKED)
    make_job(using, queue_name="images")
    lines = [line.split() for line in jobstats(using=using).splitlines()]
    assert ["blocked", "3"] in [line[:2] for line in lines]
    (head,) = (line for line in lines if line[:2] == ["product", "queue"])
    of_queue = {
        line[1]: line[head.index("blocked")] for line in lines if line[:1] == ["default"] and len(line) > 5
    }
    assert of_queue == {"email": "3", "images": "0"}


def test_an_empty_table_is_no_error() -> None:
    text = jobstats()
    assert "worker processes: 0 alive, 0 dead" in text
    assert "oldest ready job         -" in text


def test_product_and_queue_narrow_the_jobs() -> None:
    some_jobs("default")
    assert as_json("--product", "novaskyn")["tables"][0]["counts"]["COMPLETED"] == 1
    counts = as_json("--queue", "email", "--queue", "images")["tables"][0]["counts"]
    assert sum(counts.values()) == 1


def test_every_job_table_of_the_pools_is_shown() -> None:
    make_job(model=EmailJob)
    make_worker(pool="mail")
    make_worker(pool="default")
    pools = {
        "default": {},
        "slow": {"queues": ["reports"]},
        "mail": {"model": "workload.EmailJob", "executor": "tests.checks.test_jobs.AnyExecutor"},
    }
    report = as_json(POOLS=pools)
    assert [(table["model"], table["pools"]) for table in report["tables"]] == [
        ("pleme_redis_django.job", ["default", "slow"]),
        ("workload.emailjob", ["mail"]),
    ]
    assert report["tables"][1]["unserved_types"] == [], "this executor takes any type"
    only = as_json("--pool", "mail", POOLS=pools)
    assert [table["model"] for table in only["tables"]] == ["workload.emailjob"]
    assert [worker["pool"] for worker in only["workers"]["processes"]] == ["mail"]


def test_a_pool_stands_for_its_queues_and_its_product() -> None:
    make_job(queue_name="reports", product="novaskyn")
    make_job(queue_name="reports")
    make_job(product="novaskyn")
    pools = {"slow": {"queues": ["reports"], "product": "novaskyn"}}
    (table,) = as_json("--pool", "slow", POOLS=pools)["tables"]
    assert sum(table["counts"].values()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pool", "defualt"], "Did you mean default"),
        (["--product", "Not A Product"], "is not a valid product name"),
        (["--queue", "a b"], "is not a valid queue name"),
    ],
)
def test_a_wrong_question_is_exit_code_2(arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said) as failed:
        jobstats(*arguments)
    assert failed.value.returncode == 2


def test_tables_that_are_missing_are_exit_code_2() -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("ALTER TABLE pleme_redis_django_job RENAME TO elsewhere")
    with pytest.raises(CommandError, match="Did you run migrate") as failed:
        jobstats()
    assert failed.value.returncode == 2


def test_a_report_is_eight_queries_however_much_there_is() -> None:
    for number in range(5):
        some_jobs("default")
        make_job(queue_name=f"queue-{number}")
    with CaptureQueriesContext(connections["default"]) as queries:
        jobstats()
    bounding = ("SAVEPOINT", "RELEASE", "SELECT set_config")
    asked = [each["sql"].strip() for each in queries]
    assert len([sql for sql in asked if not sql.startswith(bounding) and "set_config" not in sql]) == 8


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_the_process_exits_with_the_code_and_writes_ascii_where_it_must(
    process_environment: dict[str, str],
) -> None:
    make_job(run_after=ago(100))
    command = [sys.executable, "-m", "django", "jobstats", "--max-ready-age", "10"]
    environment = process_environment | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": "."}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1, ended.stderr
    assert "queued     1  ###" in ended.stdout
    assert "a ready job has waited" in ended.stderr


@pytest.mark.django_db(transaction=True)
def test_the_storage_is_told_with_what_holds_back_vacuums() -> None:
    with another_session(REPEATABLE, "SELECT 'a\x1b[2Jb'", application="nightly") as session:
        pid = snapshot_of(session).pid
        (table,) = as_json()["tables"]
        text = jobstats()
        with pytest.raises(CommandError, match=f"session {pid} .*at most 0 ms allowed") as failed:
            jobstats("--max-snapshot-age", "0")
        jobstats("--max-snapshot-age", "3600")
    assert failed.value.returncode == 1
    assert table["storage"]["snapshot"]["pid"] == pid
    assert table["storage"]["table"]["index_bytes"] > 0
    assert table["storage"]["overdue"] == {"jobs": 0, "late": 0, "is_capped": False}
    assert f'oldest snapshot          session {pid} (user postgres, application "nightly")' in text
    assert "its last query           SELECT 'a?[2Jb'" in text
