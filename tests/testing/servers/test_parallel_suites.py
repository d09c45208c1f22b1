"""A user's suite under pytest-xdist: each worker has servers of its own, and none is left at its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pleme_redis_django.testing.servers import RedisServer
from tests.docs.pages import ROOT
from tests.processes import ending_with_this_process
from tests.waiting import PROCESS_DEADLINE_SECONDS, wait_for, wait_until

SETTINGS = """
import os, pathlib
from pleme_redis_django.testing.servers import BackingServices

services = BackingServices(durable=False).start()
DATABASES = {"default": services.database_settings()}
PLEME_REDIS = {"URL": services.redis_url, "PRODUCT": os.environ.get("PYTEST_XDIST_WORKER", "main")}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "pleme_redis_django"]
USE_TZ = True
SECRET_KEY = "only-for-tests"

note = [f"{server.pid} {server.folder}" for server in (services.postgres, services.redis) if server]
pathlib.Path("servers", str(os.getpid())).write_text("\\n".join(note))
"""
PYTEST_INI = """
[pytest]
DJANGO_SETTINGS_MODULE = shop_settings
addopts = -p no:cacheprovider -p no:randomly -p no:asyncio -p no:hypothesispytest
"""
TESTS = """
import os, pathlib, signal, time
import pytest
from django.conf import settings
from pleme_redis_django import Job, PresenceManager, job
from pleme_redis_django.testing import assert_enqueued, drain_jobs


@job
def send(number: int) -> int:
    return number


LOOK_SECONDS = 0.01


def meet(number, of=1):
    pathlib.Path("met", str(number)).touch()
    deadline = time.monotonic() + 30
    while len(os.listdir("met")) < of:
        assert time.monotonic() < deadline
        time.sleep(LOOK_SECONDS)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [1, 2])
def test_at_the_same_time(number):
    PresenceManager().set_online(number, "browser")
    send.enqueue(number=number)
    meet(number, of=2)
    assert_enqueued(send, 1)
    assert [each.product for each in drain_jobs().completed] == [settings.PLEME_REDIS["PRODUCT"]]
    assert [each.results for each in Job.objects.all()] == [number]
    assert PresenceManager().get_online_users() == [str(number)]


def test_that_ends_its_worker():
    os._exit(1)


def test_that_is_interrupted():
    meet(1)
    signal.pause()
"""


class Suite:
    """A project with tests in a folder of its own, and the servers that its processes have started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("met", "servers"):
            (folder / name).mkdir()
        (folder / "shop_settings.py").write_text(SETTINGS)
        (folder / "test_shop.py").write_text(TESTS)
        (folder / "pytest.ini").write_text(PYTEST_INI)
        self._log = folder / "output"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        dropped = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in dropped and not name.startswith("PYTEST_")
        }
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                ending_with_this_process([sys.executable, "-m", "pytest", *arguments]),
                cwd=self.folder,
                env={**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{self.folder}", **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self._process

    def finish(self) -> tuple[int, str]:
        """Return the exit code and the output once the run has ended."""
        assert self._process
        process = self._process
        wait_for(
            lambda: process.poll() is not None,
            "the end of the run",
            deadline_seconds=2 * PROCESS_DEADLINE_SECONDS,  # it starts six servers
            details=self.output,
        )
        return process.returncode, self.output()

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def servers(self) -> list[tuple[int, Path]]:
        """Return the process ids and folders of the servers of every process of the run."""
        notes = (note.read_text().split() for note in (self.folder / "servers").iterdir())
        return [
            (int(pid), Path(folder))
            for note in notes
            for pid, folder in zip(note[::2], note[1::2], strict=True)
        ]

    def end(self) -> None:
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PROCESS_DEADLINE_SECONDS)


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    suite = Suite(tmp_path)
    yield suite
    suite.end()


def are_gone(servers: list[tuple[int, Path]]) -> bool:
    return not any(psutil.pid_exists(pid) or folder.exists() for pid, folder in servers)


@pytest.mark.process
def test_each_worker_has_a_database_and_a_redis_of_its_own(suite: Suite) -> None:
    suite.start("-n", "2", "-k", "same_time")
    code, output = suite.finish()
    assert (code, "2 passed" in output) == (0, True), output
    assert len(set(suite.servers())) == 6, "two each of two workers and of the process that starts them"
    assert are_gone(suite.servers())


@pytest.mark.process
def test_a_product_for_each_worker_lets_them_share_a_redis(suite: Suite) -> None:
    with RedisServer() as server:
        suite.start("-n", "2", "-k", "same_time", REDIS_URL=server.url())
        code, output = suite.finish()
        assert (code, "2 passed" in output) == (0, True), output


@pytest.mark.process
def test_a_worker_that_crashes_takes_its_servers_with_it(suite: Suite) -> None:
    suite.start("-n", "1", "-k", "ends_its_worker", "--max-worker-restart", "0")
    code, output = suite.finish()
    assert code == 1 and "crashed while running" in output, output
    assert len(suite.servers()) == 4
    wait_until(lambda: are_gone(suite.servers()), "the end of the servers")


@pytest.mark.process
def test_no_server_survives_ctrl_c(suite: Suite) -> None:
    process = suite.start("-n", "2", "-k", "interrupted")
    wait_for(lambda: list((suite.folder / "met").iterdir()), "a test", details=suite.output)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does
    code, output = suite.finish()
    assert code == 2 and "KeyboardInterrupt" in output, output
    assert len(suite.servers()) == 6
    wait_until(lambda: are_gone(suite.servers()), "the end of the servers")
