"""The servers of one test run: one PostgreSQL, one Redis, one SQLite file, and a browser on demand.

Nothing is mocked and nothing is skipped for want of a server. With pytest-xdist the workers share
the PostgreSQL of the process that started them (each has a database of its own), and start a Redis
each: pub/sub, the statistics that tests read and CLIENT KILL know neither prefix nor database.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import redis
from asgiref.sync import SyncToAsync
from django.db import connections
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from pleme_redis_django.conf import get_settings
from pleme_redis_django.testing.servers import BackingServices, PostgresServer
from pleme_redis_django.testing.servers.backing_services import redis_url_with_database
from tests import browsers, processes
from tests import settings as test_settings

if TYPE_CHECKING:
    from playwright.async_api import Browser

REDIS_DATABASES_OF_THE_SUITE = (0, test_settings.CACHE_REDIS_DATABASE)
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Workers of pytest-xdist. More than half of a run is waiting, for processes to start and leases to end: twice as
# many as cores use it. Past the most, each one more gains little and costs a Redis and two databases.
# How long an example takes says something of the machine alone.
hypothesis_settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("suite")

WORKERS_PER_CORE = 2
MAX_WORKERS = 8

_services = pytest.StashKey[BackingServices]()
_shared_postgres = pytest.StashKey[PostgresServer]()
_folder = pytest.StashKey[Path]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many workers ``-n auto`` means: none on a Redis that is given, which they cannot share."""
    if os.environ.get("REDIS_URL"):
        return 0
    return min((os.cpu_count() or 1) * WORKERS_PER_CORE, MAX_WORKERS)


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers before the first test database is created."""
    if config.option.help or config.option.collectonly:
        return
    if getattr(config.option, "tx", None):  # this process starts workers and runs no test
        _start_shared_postgres(config)
    else:
        _start_servers(config)


def _start_shared_postgres(config: pytest.Config) -> None:
    """Start what the workers share; they find it in the environment that they inherit."""
    if os.environ.get("REDIS_URL"):
        raise pytest.UsageError(
            "REDIS_URL names one Redis, and workers need one each. Run with -n 0, or set PLEME_REDIS_SERVER "
            "to the program that each shall start."
        )
    if not os.environ.get("DATABASE_URL"):
        server = config.stash[_shared_postgres] = PostgresServer(durable=False).start()
        os.environ["DATABASE_URL"] = server.url


def _start_servers(config: pytest.Config) -> None:
    # Tests trade the safety of a crashed machine for speed; benchmarks keep fsync on.
    services = config.stash[_services] = BackingServices(durable=False).start()
    folder = config.stash[_folder] = Path(tempfile.mkdtemp(prefix="pleme-tests-"))
    test_settings.use_servers(
        database_url=services.database_url,
        redis_url=redis_url_with_database(services.redis_url, 0),
        sqlite_path=str(folder / "tests.sqlite3"),
    )
    get_settings.cache_clear()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Search nothing for garbage while tests are collected, and never search what was: it stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the long tests, in their random order, begin before all others that commit, which pytest-django puts last."""
    _refuse_names_of_one_process(items)
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    first = next((i for i, item in enumerate(others) if _commits(item)), len(others))
    items[:] = [*others[:first], *long, *others[first:]]


def _refuse_names_of_one_process(items: list[pytest.Item]) -> None:
    """Name the tests whose names hold an address: pytest-xdist runs no test where its workers have collected others."""
    if named := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(
            f"{len(named)} tests have a name that differs from process to process. Give their parameters ids:\n"
            + "\n".join(named)
        )


def _commits(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("django_db")
    fixtures = getattr(item, "fixturenames", ())
    return bool(marker and marker.kwargs.get("transaction")) or "transactional_db" in fixtures


def pytest_unconfigure(config: pytest.Config) -> None:
    if _shared_postgres in config.stash:
        config.stash[_shared_postgres].stop()
        del os.environ["DATABASE_URL"]
    if _services in config.stash:
        config.stash[_services].stop()
        shutil.rmtree(config.stash[_folder], ignore_errors=True)


@pytest.fixture(scope="session")
def backing_services(pytestconfig: pytest.Config) -> BackingServices:
    """The servers of this run. A test that damages one starts a server of its own."""
    return pytestconfig.stash[_services]


@pytest.fixture(scope="session")
def _redis_of_the_suite(backing_services: BackingServices) -> Iterator[list[redis.Redis]]:
    clients = [
        redis.Redis.from_url(redis_url_with_database(backing_services.redis_url, database))
        for database in REDIS_DATABASES_OF_THE_SUITE
    ]
    yield clients
    for client in clients:
        client.close()


@pytest.fixture(autouse=True)
def _empty_redis(_redis_of_the_suite: list[redis.Redis]) -> None:
    """Start every test with an empty Redis; 0.2 ms over the unix socket."""
    for client in _redis_of_the_suite:
        client.flushdb()


@pytest.fixture(autouse=True)
def _close_connections_of_async_code() -> Iterator[None]:
    """Close what async tests have opened: sync_to_async keeps a thread, and that its connections.

    An open one would keep the test database from being dropped.
    """
    yield
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


@pytest.fixture
def process_environment(backing_services: BackingServices) -> dict[str, str]:
    """The environment in which a subprocess sees this test's databases and Redis (``env=`` of Popen).

    It sees only what is committed: use ``django_db(transaction=True)``.
    """
    return processes.process_environment(redis_url_with_database(backing_services.redis_url, 0))


def pytest_report_header() -> list[str]:
    """Say once, not at each of fifty tests, why the browser tests are skipped."""
    missing = browsers.missing()
    return [f"browser tests: skipped. {missing}"] if missing else []


@pytest.fixture(scope="session")
def chromium_program() -> str:
    """The path of the system's Chromium, with what playwright needs to drive it.

    Without them the test is skipped, or fails when ``PLEME_REQUIRE_BROWSER=1`` (as CI sets).
    """
    if missing := browsers.missing():
        if os.environ.get("PLEME_REQUIRE_BROWSER") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return browsers.chromium_program()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _chromium_of_the_worker(chromium_program: str) -> AsyncIterator[Browser]:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_program, args=CHROMIUM_ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def chromium(_chromium_of_the_worker: Browser) -> AsyncIterator[Browser]:
    """A headless Chromium (playwright's async ``Browser``) without pages; a worker starts one for all tests.

    It lives on the loop of the session, where its tests have to run: ``mark.asyncio(loop_scope="session")``.
    Not playwright's sync API: its loop stays the running one of the thread, so that every later
    ``async def`` test fails and Django refuses every query.
    """
    yield _chromium_of_the_worker
    for context in list(_chromium_of_the_worker.contexts):
        await context.close()


@pytest.fixture
def quick_threads() -> Iterator[None]:
    """Threads that take turns after so few bytecodes that an interrupt comes at any of them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
