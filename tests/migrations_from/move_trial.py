"""One trial: the shop works with the other queue, with both at once, and with this package; it did the same each time.

move_trial.py celery
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEADLINE_SECONDS = 120.0
EXIT_SECONDS = 30.0
LOOK_SECONDS = 0.2
RECEIPTS = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """How to run the workers of another queue."""

    worker: tuple[str, ...]
    stop: signal.Signals = signal.SIGTERM
    retries: bool = True
    """Whether it tries again what has failed."""
    phase_of_worker: str = "both"
    """With which settings its workers run beside ours."""
    move: tuple[str, ...] = ()
    """What makes jobs of the rows that wait, where they are in the database."""
    schedules: str = ""
    """Whose schedules can be imported."""


def _manage(*arguments: str) -> tuple[str, ...]:
    return ("-m", "django", *arguments)


QUEUES = {
    "celery": Queue(
        worker=(
            *("-m", "celery", "--app", "from_celery", "worker"),
            *("--pool", "solo", "--queues", "celery,mail"),
        ),
        schedules="celery-beat",
    ),
    "django-tasks-db": Queue(
        worker=_manage("db_worker", "--queue-name", "*", "--interval", "0.1"),
        retries=False,
        phase_of_worker="before",
        move=("adopttasks", "django-tasks-db"),
    ),
    "rq": Queue(worker=_manage("rqworker", "default", "mail", "--with-scheduler"), schedules="rq-scheduler"),
    "huey": Queue(worker=_manage("run_huey", "--workers", "1"), stop=signal.SIGINT),
    "django-q2": Queue(worker=_manage("qcluster"), schedules="django-q2"),
    "dramatiq": Queue(worker=_manage("rundramatiq", "--processes", "1", "--threads", "1")),
    "procrastinate": Queue(worker=_manage("procrastinate", "worker")),
    "custom-queue": Queue(worker=_manage("work"), move=("move_work",)),
}


class Trial:
    """A shop that leaves another queue."""

    def __init__(self, name: str, database_url: str, redis_url: str) -> None:
        self._queue = QUEUES[name]
        self._database_url = database_url
        self._environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "PYTHONPATH": str(HERE),
            "FROM": name.replace("-", "_"),
        }

    def run(self, phase: str, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "django", *arguments],
            env=self._environment | {"PHASE": phase},
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert done.returncode in codes, f"{phase} {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def old_worker(self, phase: str) -> Iterator[None]:
        """Run a worker of the other queue, and stop it as its documentation says."""
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                [sys.executable, *self._queue.worker],
                env=self._environment | {"PHASE": phase},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                yield
            except BaseException:
                log.seek(0)
                print(log.read()[-4000:])
                raise
            finally:
                process.send_signal(self._queue.stop)
                try:
                    process.wait(EXIT_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"it takes too long; so far: {self.effects('')}"
            time.sleep(LOOK_SECONDS)

    def effects(self, tag: str) -> Counter[str]:
        """Return what was done for the calls of a tag, without the tag."""
        import psycopg

        with psycopg.connect(self._database_url) as connection:
            rows = connection.execute("SELECT text FROM shop_effect").fetchall()
        return Counter(text.removesuffix(tag).strip() for (text,) in rows if text.endswith(tag))

    def expected(self, *, retries: bool) -> Counter[str]:
        receipts = Counter({f"receipt {number}": 1 for number in range(RECEIPTS)})
        stock = Counter({"tried stock": 2, "stock": 1} if retries else {"tried stock": 1})
        return receipts + stock + Counter({"reminder": 1})

    def all_done(self, tag: str, *, retries: bool = True) -> bool:
        return not self.expected(retries=retries) - self.effects(tag)

    def check(self, tag: str, *, retries: bool = True) -> bool:
        """Check that everything was done once; return whether a rolled-back call was done too."""
        effects = self.effects(tag)
        rolled_back = effects.pop("receipt rolled-back", 0)
        assert effects == self.expected(retries=retries), effects
        return bool(rolled_back)

    def before(self) -> str:
        retries = self._queue.retries
        answer = self.run("before", "call", "theirs", "#a", str(RECEIPTS))
        with self.old_worker("before"):
            self.until(lambda: self.all_done("#a", retries=retries))
        return f"a wrong call is {answer.strip()}, a rolled-back one {self._ran(self.check('#a', retries=retries))}"

    def side_by_side(self) -> None:
        self.run("before", "call", "theirs", "#b", str(RECEIPTS))
        self.run("both", "migrate", "--verbosity", "0")
        self.run("both", "call", "ours", "#c", str(RECEIPTS))
        self._drain_both(theirs="#b", ours="#c", phase_of_worker=self._queue.phase_of_worker)

    def back(self) -> None:
        """Go back to the release before while calls wait here."""
        self.run("both", "call", "ours", "#e", str(RECEIPTS))
        self.run("before", "call", "theirs", "#f", str(RECEIPTS))
        self._drain_both(theirs="#f", ours="#e", phase_of_worker="before")

    def _drain_both(self, *, theirs: str, ours: str, phase_of_worker: str) -> None:
        retries = self._queue.retries
        with self.old_worker(phase_of_worker):
            self.until(lambda: self._ours_done("both", ours) and self.all_done(theirs, retries=retries))
        self.check(theirs, retries=retries)
        assert not self.check(ours)

    def move(self) -> bool:
        """Move over what waits, where there is a command for it, and have our workers do it."""
        if self._queue.move:
            self.run("before", "call", "theirs", "#m", str(RECEIPTS))
            # The wrong call stays where it is, and the command says so.
            self.run("both", *self._queue.move, codes=(0, 1))
            self.until(lambda: self._ours_done("both", "#m"))
            assert not self.check("#m")
        return bool(self._queue.move)

    def import_schedules(self) -> bool:
        """Import a nightly schedule of the other queue, where that can be done, and fire it."""
        if source := self._queue.schedules:
            left = f"from_{self._environment['FROM']}"
            self.run("before", "shell", "--command", f"from {left} import schedules; schedules.add()")
            same = f"{left}.tasks.remind=shop.jobs.remind"
            self.run("both", "importschedules", source, "--map", same)
            self.run("after", "schedules", "run", "nightly", "--by", "trial")
            self.run("after", "runworkers", "--burst")
            assert self.effects("#s") == Counter(["reminder"]), self.effects("#s")
        return bool(self._queue.schedules)

    def _ours_done(self, phase: str, tag: str) -> bool:
        self.run(phase, "runworkers", "--burst")
        return self.all_done(tag)

    def after(self) -> str:
        answer = self.run("after", "call", "ours", "#d", str(RECEIPTS))
        self.until(lambda: self._ours_done("after", "#d"))
        return f"a wrong call is {answer.strip()}, a rolled-back one {self._ran(self.check('#d'))}"

    @staticmethod
    def _ran(ran: bool) -> str:
        return "ran" if ran else "never ran"


def main(name: str) -> None:
    from pleme_redis_django.testing.servers import BackingServices

    with BackingServices(tcp=True, durable=False) as services:
        trial = Trial(name, services.database_url, services.redis_url)
        trial.run("before", "migrate", "--run-syncdb", "--verbosity", "0")
        print(f"{name}: before: {trial.before()}", flush=True)
        trial.side_by_side()
        print(f"{name}: both side by side: each call ran on its own side, once", flush=True)
        trial.back()
        print(f"{name}: back with calls that wait here: each ran, once", flush=True)
        if trial.move():
            print(f"{name}: what waited was moved over, and ran here", flush=True)
        if trial.import_schedules():
            print(f"{name}: a nightly schedule was imported, and fired here by hand", flush=True)
        print(f"{name}: after: {trial.after()}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
