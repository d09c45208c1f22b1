"""``make matrix``: which environments it runs, what "lowest" means, and which extras are installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks for its module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def matrix() -> ModuleType:
    return load("matrix")


@pytest.mark.parametrize(
    ("python", "on_path", "extras"),
    [
        ((3, 12), set(), ["demo"]),
        ((3, 13), {"redis-server"}, ["demo"]),
        ((3, 13), {"valkey-server"}, ["demo"]),
        ((3, 13), {"gcc"}, ["demo", "redis-from-source"]),
    ],
)
def test_redis_is_built_only_where_there_is_no_other(
    python: tuple[int, int], on_path: set[str], extras: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = _extras_on(python, on_path, monkeypatch)
    assert module.extras("demo") == extras


def test_without_a_redis_and_a_compiler_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = _extras_on((3, 13), set(), monkeypatch)
    with pytest.raises(SystemExit, match=r"apt-get install redis-server.* gcc libc6-dev"):
        module.extras("demo")


def test_the_demo_installs_what_it_needs_and_not_what_the_tests_need() -> None:
    told = subprocess.run(
        ["make", "--dry-run", "demo", "VENV=not-there"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert ".ci/extras.py demo" in told
    assert ".ci/extras.py dev" not in told


def _extras_on(python: tuple[int, int], on_path: set[str], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in ("PLEME_REDIS_SERVER", "REDIS_URL", "CC"):
        monkeypatch.delenv(name, raising=False)
    module = load("extras")
    monkeypatch.setattr(module.sys, "version_info", (*python, 0))
    monkeypatch.setattr(module.shutil, "which", lambda name: name if name in on_path else None)
    return module


def test_lowest_versions_pin_every_required_dependency(matrix: ModuleType) -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pins = dict(pin.split("==") for pin in matrix.lowest_versions())
    assert len(pins) == len(required)
    assert pins["django"].startswith("5.2.")
    assert all(any(entry.startswith(name) for entry in required) for name in pins)


def test_declared_versions_are_the_ones_that_are_run(matrix: ModuleType) -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    prefixes = ("Framework :: Django :: ", "Programming Language :: Python :: 3.")
    declared = {entry.removeprefix(prefixes[0]) for entry in classifiers if entry.startswith(prefixes[0])}
    pythons = {
        f"3.{entry.removeprefix(prefixes[1])}" for entry in classifiers if entry.startswith(prefixes[1])
    }
    assert (declared, pythons) == (set(matrix.DJANGOS), set(matrix.PYTHONS))


def _names(matrix: ModuleType, pythons: list[str], monkeypatch: pytest.MonkeyPatch, **how: Any) -> list[str]:
    at_hand = {python: f"python{python}" for python in pythons}
    monkeypatch.setattr(matrix, "find_interpreter", at_hand.get)
    found = list(matrix.find_environments(matrix.PYTHONS))
    return [each.name for each in matrix.choose(found, **{"full": False, "only": None, **how})]


def test_full_pairs_each_interpreter_with_the_series_it_runs(
    matrix: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = _names(matrix, matrix.PYTHONS, monkeypatch, full=True)
    assert len(names) == len(set(names)) == sum(map(len, matrix.DJANGOS.values())) + 1
    assert "py311-django52" in names and "py311-lowest" in names and "py314-django61" in names
    assert "py311-django60" not in names  # Django 6.0 needs Python 3.12


@pytest.mark.parametrize(
    ("pythons", "names"),
    [
        (
            ["3.11", "3.12", "3.13", "3.14"],
            ["py311-lowest", "py311-django52", "py312-django60", "py313-django61", "py314-django61"],
        ),
        (["3.11", "3.12"], ["py311-lowest", "py311-django52", "py312-django60", "py312-django61"]),
        (["3.13"], ["py313-django52", "py313-django60", "py313-django61"]),
        (["3.11"], ["py311-lowest", "py311-django52"]),
        ([], []),
    ],
)
def test_by_default_every_interpreter_and_every_django_occurs(
    pythons: list[str], names: list[str], matrix: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _names(matrix, pythons, monkeypatch) == names


def test_environments_are_chosen_by_their_names(matrix: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["py313-django52", "py312-django61"]
    assert _names(matrix, matrix.PYTHONS, monkeypatch, only=wanted) == list(reversed(wanted))


def test_what_follows_two_dashes_goes_to_pytest(matrix: ModuleType) -> None:
    options, passed = matrix.read_arguments(["--only", "py312-django60", "--", "-n", "0", "tests/jobs"])
    assert (options.only, passed) == (["py312-django60"], ["-n", "0", "tests/jobs"])
    assert matrix.read_arguments(["--list"])[1] == []
