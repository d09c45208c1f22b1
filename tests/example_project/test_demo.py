"""``manage.py demo`` as a process: it does all its work, ends as asked, and leaves nothing running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from example_project.demo.mail_server import MailCounts
from example_project.demo.report import Run, problems
from example_project.demo.work import Amounts
from example_project.shop.jobs import count_by_country
from pleme_redis_django import Job, JobStatus
from tests.processes import ending_with_this_process
from tests.rows import ago, make_jobs

MANAGE = str(Path(__file__).parent.parent.parent / "manage.py")
DEADLINE_SECONDS = 150
# More jobs of the same kind would only take longer.
FEW = ["--orders", "40", "--flood", "3000"]
NO_MAIL = MailCounts(delivered=frozenset(), duplicates=0, greylisted=0)


@pytest.fixture
def demo_environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which the demo starts servers of its own, in a folder of this test."""
    ours = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "SQLITE_PATH")
    return {name: value for name, value in os.environ.items() if name not in ours}


@pytest.fixture
def demo(demo_environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The interactive demo, with few orders."""
    process = subprocess.Popen(
        ending_with_this_process([sys.executable, MANAGE, "demo", *FEW, "--orders", "10"]),
        env=demo_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    with process.stdout:
        yield process
        process.kill()
        process.wait()


@pytest.mark.process
@pytest.mark.long
def test_demo_once_does_all_its_work(demo_environment: dict[str, str]) -> None:
    answer = subprocess.run(
        [sys.executable, MANAGE, "demo", "--once", *FEW],
        env=demo_environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "All is well." in answer.stdout
    assert re.search(r"e-mail jobs +40 completed\n", answer.stdout)
    assert re.search(r"mail +44 delivered", answer.stdout)
    assert re.search(r"flood +\d+% of it started before half of \d+ jobs of the shop", answer.stdout)
    assert re.search(r"shop +2\d,\d{3} catalog items, 40 orders, 60 thumbnails", answer.stdout)
    assert answer.stderr == ""


@pytest.mark.process
@pytest.mark.parametrize(
    ("signum", "moment"),
    [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "chat")],
    ids=["all its work done", "in the middle of the import"],
)
def test_interrupted_demo_leaves_nothing_running(
    demo: subprocess.Popen[str], signum: signal.Signals, moment: str
) -> None:
    assert demo.stdout
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if moment in line:
            break
    text = "".join(lines)
    found = re.search(r"shop +(http://127\.0\.0\.1:\d+/)", text)
    assert found, text
    dashboard = re.search(r"dashboard +(http://127\.0\.0\.1:\d+/admin/pleme_redis_django/dashboard/)", text)
    assert dashboard, text
    page = urllib.request.urlopen(dashboard[1], timeout=DEADLINE_SECONDS).read().decode()
    assert "csrfmiddlewaretoken" in page  # of the log-in, which leads back to the dashboard
    emails = re.search(r"e-mails +(http://127\.0\.0\.1:\d+/email/admin/pleme_redis_django/dashboard/)", text)
    assert emails, text
    assert "E-mail jobs" in urllib.request.urlopen(emails[1], timeout=DEADLINE_SECONDS).read().decode()
    shop = urllib.request.urlopen(found[1], timeout=DEADLINE_SECONDS).read().decode()
    assert "novaskyn" in shop or moment == "chat"

    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) > 8  # guards, PostgreSQL, Redis, web, supervisor, workers
    demo.send_signal(signum)
    rest, _ = demo.communicate(timeout=DEADLINE_SECONDS)
    assert demo.returncode == 0, rest
    assert psutil.wait_procs(children, timeout=DEADLINE_SECONDS)[1] == []


@pytest.mark.process
def test_killed_demo_leaves_nothing_running(demo: subprocess.Popen[str]) -> None:
    assert demo.stdout
    for line in demo.stdout:
        if "worker processes" in line:
            break
    children = psutil.Process(demo.pid).children(recursive=True)
    demo.send_signal(signal.SIGKILL)
    demo.wait()
    assert psutil.wait_procs(children, timeout=DEADLINE_SECONDS)[1] == []


@pytest.mark.django_db
def test_summary_names_what_was_lost_and_what_is_stuck() -> None:
    run = Run.begin(Amounts(orders=2, thumbnails=0, indexed_items=0, labels=0))
    Job.objects.create(product="default", job_type="stuck")
    Job.objects.create(product="default", job_type="broken", status=JobStatus.FAILED, error_message="why")
    found = "\n".join(problems(run, NO_MAIL))
    assert "1 jobs have not ended" in found
    assert re.search(r"broken [0-9a-f-]{36} failed: why", found)
    assert "0 orders were made, and 2 were asked for" in found
    assert "0 of 0 e-mails were not delivered, for 2 orders" in found
    assert "0 of 0 e-mails were not delivered that tasks of django.tasks send again" in found
    assert "the job that killed its worker was not run again to its end" in found


@pytest.mark.django_db
def test_problems_name_a_flood_that_slowed_the_shop() -> None:
    run = Run.begin(Amounts(orders=0, thumbnails=0, indexed_items=0, labels=0))
    ran = {"job_type": count_by_country.name, "status": JobStatus.COMPLETED, "attempt": 1}
    make_jobs(1_000, product="lilith", started_at=ago(-9), **ran)
    make_jobs(3, product="novaskyn", started_at=ago(-10), **ran)
    assert any(
        "lilith slowed the shop: 100% of it started before" in found for found in problems(run, NO_MAIL)
    )


@pytest.mark.django_db
def test_earlier_runs_on_a_kept_database_do_not_count() -> None:
    Job.objects.create(product="default", job_type="stuck")
    assert Run.begin(Amounts()).unfinished() == 0
