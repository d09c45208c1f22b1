"""What a release knows, written by one and compared by the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.definitions.registry import JobRegistry
from pleme_redis_django.management.checkjobs.release import (
    UnreadableRelease,
    changes_since,
    read_release,
    write_release,
)


def registry_of(**functions: Any) -> JobRegistry:
    registry = JobRegistry()
    for name, function in functions.items():
        registry.add(definition_of(function, name=name))
    return registry


def before(to: str, copy: str = "") -> None: ...


def requires_more(to: str, subject: str) -> None: ...


def takes_any(**fields: Any) -> None: ...


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        (before, before, []),
        (before, takes_any, []),
        (
            before,
            requires_more,
            ["it requires ['subject'] now, which was not required", "it no longer takes ['copy']"],
        ),
        (
            takes_any,
            before,
            ["it requires ['to'] now, which was not required", "it no longer takes ['any name']"],
        ),
    ],
)
def test_a_changed_signature_is_found(tmp_path: Path, old: Any, new: Any, problems: list[str]) -> None:
    path = tmp_path / "jobs.json"
    assert write_release(path, registry_of(mail=old)) == 1
    changes = list(changes_since(read_release(path), registry_of(mail=new)))
    assert [change.problem for change in changes] == problems


def test_a_type_that_is_gone_is_found(tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    write_release(path, registry_of(mail=before, report=before))
    (change,) = changes_since(read_release(path), registry_of(mail=before, other=before))
    assert change.job_type == "report"
    assert "does not know it" in change.problem


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": 2, "jobs": {}}', '{"format": 1, "jobs": {"mail": {}}}', '{"format": 1}'],
)
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "jobs.json"
    path.write_text(content)
    with pytest.raises(UnreadableRelease, match=r"jobs\.json"):
        read_release(path)
