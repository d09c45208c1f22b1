"""``make tasks-suites``: what it takes for a failure, and that every deviation is in the docs with its reason."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.test_matrix import ROOT, load

GUIDE = ROOT / "docs" / "guides" / "django-tasks.md"
NAME = "tasks.test_tasks.TaskTestCase.test_name"


@pytest.fixture
def suites(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "matrix", load("matrix"))
    return load("tasks_suites")


def test_every_deviation_is_in_the_guide_with_its_reason(suites: ModuleType) -> None:
    rows = [line for line in GUIDE.read_text().splitlines() if line.startswith("| ")]
    for deviation in suites.read_deviations():
        _package, _module, kind, *method = deviation.test.split(".")
        named = [row for row in rows if f"`{kind}`" in row and all(f"`{each}`" in row for each in method)]
        assert any(deviation.reason in row for row in named), deviation


def test_no_deviation_is_listed_twice(suites: ModuleType) -> None:
    listed = [deviation.test for deviation in suites.read_deviations()]
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    ("outcome", "expected", "is_well", "line"),
    [
        ("passed", {}, True, "1 tests: 1 passed"),
        ("failed", {NAME: "a reason"}, True, f"deviation  {NAME}: a reason"),
        ("failed", {}, False, f"NEW        {NAME}"),
        ("passed", {NAME: "a reason"}, False, f"MENDED     {NAME}"),
        ("passed", {f"{NAME}_else": "a reason"}, False, f"GONE       {NAME}_else"),
    ],
)
def test_what_was_not_expected_fails(
    suites: ModuleType,
    capsys: pytest.CaptureFixture[str],
    outcome: str,
    expected: dict[str, str],
    is_well: bool,
    line: str,
) -> None:
    assert suites.report("6.1", {NAME: outcome}, expected) is is_well
    assert line in capsys.readouterr().out


def test_run_of_no_test_is_no_success(suites: ModuleType) -> None:
    assert suites.report("6.1", {}, {}) is False


def test_sources_are_downloaded_by_an_older_python_than_they_take(
    suites: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The suite of Django 6.1, which Python 3.11 does not run, is that of the backport too, which it does."""
    commands: list[list[str]] = []

    def download(command: list[str]) -> None:
        commands.append(command)
        (tmp_path / "django-6.1.3").mkdir()

    monkeypatch.setattr(suites, "SDISTS", tmp_path)
    monkeypatch.setattr(suites, "do", download)
    assert suites.unpacked("python3.11", "django==6.1.*") == tmp_path / "django-6.1.3"
    assert "--ignore-requires-python" in commands[0]
