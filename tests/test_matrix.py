"""``make matrix``: which environments it runs, and what "lowest" means."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def matrix() -> ModuleType:
    spec = importlib.util.spec_from_file_location("matrix", ROOT / ".ci" / "matrix.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
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


def test_environments_pair_each_interpreter_with_the_series_it_runs(
    matrix: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "find_interpreter", lambda version: f"python{version}")
    names = [name for name, _, _ in matrix.find_environments(matrix.PYTHONS)]
    assert "py311-django52" in names and "py311-lowest" in names and "py314-django61" in names
    assert "py311-django60" not in names  # Django 6.0 needs Python 3.12
