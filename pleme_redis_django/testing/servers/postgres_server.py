"""A PostgreSQL cluster of our own: made with initdb, run with postgres, ended with a signal."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pleme_redis_django.exceptions import ServerUnavailable
from pleme_redis_django.testing.servers.account import unprivileged_account
from pleme_redis_django.testing.servers.managed_server import ManagedServer
from pleme_redis_django.testing.servers.programs import PostgresPrograms, find_postgres

SUPERUSER = "postgres"
SOCKET_PORT = 5432
MAX_CONNECTIONS = 200
SHARED_BUFFERS = "128MB"
CONNECT_TIMEOUT_SECONDS = 5
# The socket lies in a folder that only this user can enter; a loopback port is open to every local user.
HOST_BASED_AUTHENTICATION = """\
local all all trust
host all all 127.0.0.1/32 scram-sha-256
"""


class PostgresServer(ManagedServer):
    """PostgreSQL on a unix socket that only this user can reach (``tcp``: also a loopback port).

    ``durable=False`` turns fsync off: tests run faster, and a crash of the machine may lose data.
    ``data_folder`` keeps the cluster after ``stop()``; it is made when missing. ``settings`` are
    further postgresql.conf settings.

    Stop modes are signals: SIGINT (fast, the default), SIGQUIT (immediate, as after a crash).
    """

    title = "PostgreSQL"
    stop_signal = signal.SIGINT

    def __init__(
        self,
        *,
        tcp: bool = False,
        durable: bool = True,
        data_folder: Path | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        super().__init__(tcp=tcp)
        self.durable = durable
        self._kept_data_folder = data_folder
        self._settings = settings or {}
        self._programs: PostgresPrograms | None = None
        self._password = secrets.token_urlsafe(18)
        self._account = unprivileged_account()

    @property
    def url(self) -> str:
        """The URL of the database ``postgres``, over the unix socket, or over TCP when asked for."""
        if self.port is not None:
            return f"postgresql://{SUPERUSER}:{self._password}@127.0.0.1:{self.port}/postgres"
        return self._socket_url

    def crash(self) -> None:
        """End the server at once, without a checkpoint; the next start recovers from its log."""
        self.halt(signal.SIGQUIT)

    @property
    def _socket_url(self) -> str:
        return f"postgresql://{SUPERUSER}@{quote(str(self.folder), safe='')}:{self._port}/postgres"

    @property
    def _port(self) -> int:
        return self.port or SOCKET_PORT

    @property
    def _data_folder(self) -> Path:
        return self._kept_data_folder or self.folder / "data"

    def _prepare(self) -> None:
        hba_file = self.folder / "pg_hba.conf"
        hba_file.write_text(HOST_BASED_AUTHENTICATION)
        self._account.own(hba_file)
        if self._programs is None or not self._programs.postgres.exists():
            self._programs = find_postgres().executable_by(self._account, self.folder / "programs")
        if not (self._data_folder / "PG_VERSION").exists():
            self._make_cluster(self._programs.initdb)

    def _make_cluster(self, initdb: Path) -> None:
        if not self._data_folder.exists():
            self._data_folder.mkdir(mode=0o700, parents=True)
            self._account.own(self._data_folder)
        command = [
            str(initdb),
            f"--pgdata={self._data_folder}",
            f"--username={SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-instructions",
            *([] if self.durable else ["--no-sync"]),
        ]
        made = subprocess.run(  # noqa: S603 - no shell; a located program
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=_environment(),
            check=False,
            **self._account.popen_arguments(),
        )
        if made.returncode != 0:
            raise ServerUnavailable(
                f"{initdb} failed for {self._data_folder}:\n{made.stdout}{made.stderr}".strip()
            )

    def _command(self) -> list[str]:
        assert self._programs is not None
        settings = {
            "hba_file": str(self.folder / "pg_hba.conf"),
            "listen_addresses": "127.0.0.1" if self.tcp else "",
            "port": str(self._port),
            "unix_socket_directories": str(self.folder),
            "unix_socket_permissions": "0700",
            "max_connections": str(MAX_CONNECTIONS),
            "shared_buffers": SHARED_BUFFERS,
            "max_wal_size": "2GB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **({} if self.durable else {"fsync": "off", "full_page_writes": "off"}),
            **self._settings,
        }
        return [
            str(self._programs.postgres),
            "-D",
            str(self._data_folder),
            *(f"--{name}={value}" for name, value in settings.items()),
        ]

    def _answers(self) -> bool:
        try:
            connection = psycopg.connect(self._socket_url, connect_timeout=CONNECT_TIMEOUT_SECONDS)
        except psycopg.OperationalError:
            return False
        with connection:
            if self.tcp:
                statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(SUPERUSER), self._password
                )
                connection.execute(statement)
        return True


def database_settings(url: str) -> dict[str, Any]:
    """Return Django's DATABASES entry for a libpq URL or connection string.

    Parameters that Django has no key for (sslmode, ...) go to ``OPTIONS``.
    """
    options = conninfo_to_dict(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": options.pop("dbname", None) or SUPERUSER,
        "USER": options.pop("user", None) or "",
        "PASSWORD": options.pop("password", None) or "",
        "HOST": options.pop("host", None) or "",
        "PORT": str(options.pop("port", None) or ""),
        "OPTIONS": options,
    }


def _environment() -> dict[str, str]:
    """Return this process's environment without what would redirect or translate PostgreSQL's programs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}
