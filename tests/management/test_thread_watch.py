"""The last resort of the engine's threads, and the bounds of what a worker waits for on the network."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connections

from pleme_redis_django import WorkerPoolConfig
from pleme_redis_django.management.runworkers.database import (
    bound_database_waits,
    bound_waits_of,
    libpq_options,
)
from pleme_redis_django.management.runworkers.thread_watch import ThreadWatch


@pytest.fixture
def hook() -> Iterator[None]:
    before = threading.excepthook
    yield
    threading.excepthook = before


def _end(name: str, error: type[BaseException]) -> None:
    def raise_it() -> None:
        raise error("as asked")

    thread = threading.Thread(target=raise_it, name=name)
    thread.start()
    thread.join()


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_an_engine_thread_that_an_error_ends_breaks_the_process(
    hook: None, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    told: list[bool] = []
    watch = ThreadWatch(lambda: told.append(watch.is_broken))
    watch.begin()
    _end("pleme-claimer", error)
    assert told == [True]
    assert "pleme-claimer" in caplog.text


def test_a_thread_of_a_handler_is_its_own_business(hook: None) -> None:
    left: list[str] = []
    threading.excepthook = lambda ended: left.append(str(ended.exc_value))
    watch = ThreadWatch(lambda: None)
    watch.begin()
    _end("Thread-7", RuntimeError)
    assert (watch.is_broken, left) == (False, ["as asked"])


@pytest.mark.parametrize(("lease", "beat"), [(25, 5), (25, 12.5), (10, 2), (300, 60)])
def test_every_wait_on_the_network_is_shorter_than_the_lease(lease: float, beat: float) -> None:
    """A process whose connection dies silently is back before others take it for dead."""
    config = WorkerPoolConfig(lease_seconds=lease, heartbeat_seconds=beat)
    options = libpq_options(config.lease_seconds)
    silent = options["tcp_user_timeout"] / 1000 + options["connect_timeout"]
    assert config.heartbeat_seconds + silent < lease
    probes = options["keepalives_idle"] + options["keepalives_interval"] * options["keepalives_count"]
    assert config.heartbeat_seconds + probes + options["connect_timeout"] <= lease


def test_a_pool_is_dropped_before_the_first_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connections["default"].copy()
    connection.settings_dict["OPTIONS"] = {"pool": {"max_size": 2}, "connect_timeout": 1}
    bound_waits_of(connection)
    options = connection.settings_dict["OPTIONS"]
    assert "pool" not in options
    assert options["connect_timeout"] == 1, "What the project says wins."


def test_that_a_pool_is_dropped_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(connections.settings["default"], "OPTIONS", {"pool": True})
    with caplog.at_level("INFO"):
        bound_database_waits(25, jobs_alias="default")
        bound_database_waits(25, jobs_alias="default")
    assert caplog.text.count("workers do not use the connection pool") == 1
    assert connections.settings["default"]["OPTIONS"]["target_session_attrs"] == "read-write"
