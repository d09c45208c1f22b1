"""The PostgreSQL and the Redis of one run: the ones that the environment names, or our own."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pleme_redis_django.testing.servers.postgres_server import PostgresServer, database_settings
from pleme_redis_django.testing.servers.redis_server import RedisServer

_Server = TypeVar("_Server", PostgresServer, RedisServer)


class BackingServices:
    """PostgreSQL and Redis: ``DATABASE_URL`` and ``REDIS_URL`` when set, else servers of our own.

    ``postgres`` and ``redis`` are the servers of our own, None where the environment names one.
    ``tcp``, ``durable`` and ``data_folder`` are those of PostgresServer and RedisServer.
    """

    def __init__(self, *, tcp: bool = False, durable: bool = True, data_folder: Path | None = None) -> None:
        self._given_database_url = os.environ.get("DATABASE_URL")
        self._given_redis_url = os.environ.get("REDIS_URL")
        self.postgres: PostgresServer | None = None
        self.redis: RedisServer | None = None
        if not self._given_database_url:
            self.postgres = PostgresServer(tcp=tcp, durable=durable, data_folder=data_folder)
        if not self._given_redis_url:
            self.redis = RedisServer(tcp=tcp)

    def start(self) -> Self:
        """Start what is our own; raises ServerUnavailable, with nothing left running."""
        try:
            for server in (self.postgres, self.redis):
                if server is not None:
                    server.start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop what is our own; may be called twice."""
        for server in (self.redis, self.postgres):
            if server is not None:
                server.stop()

    def given(self) -> dict[str, bool]:
        """Return which of the two servers the environment names."""
        return {"DATABASE_URL": self.postgres is None, "REDIS_URL": self.redis is None}

    @property
    def database_url(self) -> str:
        return self._given_database_url or _own(self.postgres).url

    @property
    def redis_url(self) -> str:
        return self._given_redis_url or _own(self.redis).url()

    def database_settings(self) -> dict[str, Any]:
        """Return Django's DATABASES entry."""
        return database_settings(self.database_url)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def redis_url_with_database(url: str, database: int) -> str:
    """Return ``url`` (redis, rediss or unix) with its database number replaced."""
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "db"]
    if parts.scheme == "unix":
        # urlunsplit() drops the empty authority of unix:///path on some Python versions.
        return f"unix://{parts.netloc}{parts.path}?{urlencode([*query, ('db', str(database))])}"
    return urlunsplit(parts._replace(path=f"/{database}", query=urlencode(query)))


def _own(server: _Server | None) -> _Server:
    assert server is not None
    return server
