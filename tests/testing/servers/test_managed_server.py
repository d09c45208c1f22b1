"""Servers of our own: they start, stop, restart, hang, crash, and die with their parent."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from pleme_redis_django.exceptions import ServerUnavailable
from pleme_redis_django.testing.servers import PostgresServer, RedisServer
from tests.waiting import wait_until

DEADLINE_SECONDS = 20


@pytest.fixture(params=["unix socket", "tcp"])
def redis_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(tcp=request.param == "tcp") as server:
        yield server


@pytest.fixture(scope="module", params=["unix socket", "tcp"])
def postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    with PostgresServer(tcp=request.param == "tcp", durable=False) as server:
        yield server


def test_redis_answers_on_its_url(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url(3)) as client:
        client.set("key", "value")
        assert client.get("key") == b"value"
        assert client.connection_pool.connection_kwargs["db"] == 3


def test_killed_redis_comes_back_empty_on_the_same_address(redis_server: RedisServer) -> None:
    url = redis_server.url()
    with redis.Redis.from_url(url) as client:
        client.set("key", "value")
        redis_server.kill()
        assert not redis_server.is_running()
        redis_server.start()
        assert redis_server.url() == url
        assert client.get("key") is None


def test_redis_that_is_stopped_hangs_until_it_is_continued(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url(), socket_timeout=0.2) as client:
        redis_server.send_signal(signal.SIGSTOP)
        with pytest.raises(redis.TimeoutError):
            client.ping()
        redis_server.send_signal(signal.SIGCONT)
        wait_until(lambda: answers(client))


def test_redis_has_stopped_when_its_signal_is_sent(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url()) as client:
        process = psutil.Process(client.info("server")["process_id"])
    for _ in range(20):
        redis_server.send_signal(signal.SIGSTOP)
        assert process.status() == psutil.STATUS_STOPPED
        redis_server.send_signal(signal.SIGCONT)


def test_postgres_answers_on_its_url(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.url) as connection:
        row = connection.execute("SELECT current_setting('fsync'), current_setting('TimeZone')").fetchone()
    assert row == ("off", "UTC")


def test_crashed_postgres_keeps_what_was_committed(postgres_server: PostgresServer) -> None:
    url = postgres_server.url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('committed')")
    postgres_server.crash()
    postgres_server.start()
    assert postgres_server.url == url
    with psycopg.connect(url) as connection:
        assert ("committed",) in connection.execute("SELECT word FROM kept").fetchall()


def test_loopback_port_asks_for_the_password() -> None:
    with PostgresServer(tcp=True, durable=False) as server:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url, password="wrong")
        psycopg.connect(server.url).close()


def test_postgres_is_durable_by_default_and_keeps_a_given_data_folder(tmp_path_public: Path) -> None:
    data_folder = tmp_path_public / "kept" / "data"
    with (
        PostgresServer(data_folder=data_folder) as server,
        psycopg.connect(server.url, autocommit=True) as connection,
    ):
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        connection.execute("CREATE DATABASE kept")
    with (
        PostgresServer(data_folder=data_folder) as server,
        psycopg.connect(server.url, dbname="kept") as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_scratch_folder_is_private_and_removed(
    redis_server: RedisServer, postgres_server: PostgresServer
) -> None:
    for server in (redis_server, postgres_server):
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    folder = redis_server.folder
    redis_server.stop()
    assert not folder.exists()


def test_start_and_stop_may_be_called_twice() -> None:
    server = RedisServer()
    assert server.start() is server.start()
    server.stop()
    server.stop()
    with pytest.raises(RuntimeError, match="has been stopped"):
        server.url()


def test_a_server_that_refuses_to_start_says_why_and_leaves_nothing() -> None:
    server = RedisServer(settings={"maxmemory": "much"})
    with pytest.raises(ServerUnavailable, match="argument must be a memory value"):
        server.start()
    with pytest.raises(RuntimeError):
        server.url()


@pytest.mark.process
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, None])
def test_servers_end_with_the_process_that_started_them(ending: signal.Signals | None) -> None:
    program = (
        "import sys\n"
        "from pleme_redis_django.testing.servers import BackingServices\n"
        "s = BackingServices(durable=False).start()\n"
        "print(s.postgres.pid, s.postgres.folder, s.redis.pid, s.redis.folder, flush=True)\n"
        "sys.stdin.read()\n"
    )
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=kept
    )
    assert parent.stdin and parent.stdout
    postgres_pid, postgres_folder, redis_pid, redis_folder = parent.stdout.readline().split()
    assert is_alive(int(postgres_pid)) and is_alive(int(redis_pid))
    if ending is None:
        parent.stdin.close()
    else:
        parent.send_signal(ending)
    parent.wait(DEADLINE_SECONDS)
    wait_until(lambda: not is_alive(int(postgres_pid)) and not is_alive(int(redis_pid)))
    wait_until(lambda: not Path(postgres_folder).exists() and not Path(redis_folder).exists())
    parent.stdout.close()
    parent.stdin.close()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
