"""``make dist``: what keeps a tag from being released, and where version and times come from."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

import pleme_redis_django

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = '__version__ = "0.1.0"\n'
PROJECT = '[project]\nname = "x"\n'
WITH_ADDRESSES = PROJECT + '[project.urls]\nHomepage = "https://example.org"\n'


@pytest.fixture
def dist() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ci_build_dist", ROOT / ".ci" / "build_dist.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clone(dist: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that can be released, in place of this one."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
        monkeypatch.setenv(f"GIT_{name}_DATE", "1800000000 +0000")
    (tmp_path / "pleme_redis_django").mkdir()
    (tmp_path / "pleme_redis_django" / "__init__.py").write_text(PACKAGE)
    (tmp_path / "pyproject.toml").write_text(WITH_ADDRESSES)
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 0.1.0 (2026-12-01)\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    monkeypatch.setattr(dist, "ROOT", tmp_path)
    return tmp_path


def test_the_version_is_read_without_importing_the_package(dist: ModuleType) -> None:
    assert dist.version() == pleme_redis_django.__version__


def test_nothing_keeps_a_committed_version_with_its_changes_from_release(
    dist: ModuleType, clone: Path
) -> None:
    assert dist.objections_to_release("v0.1.0") == []


@pytest.mark.parametrize(
    ("file", "text", "objection"),
    [
        (
            "pleme_redis_django/__init__.py",
            '__version__ = "0.2.0"\n',
            'The tag is "v0.1.0", and the version "0.2.0"',
        ),
        ("CHANGELOG.md", "# Changelog\n\n## Unreleased\n", 'no section "## 0.1.0 (date)"'),
        ("pyproject.toml", PROJECT, "no [project.urls]"),
        ("new.py", "", "Not committed: new.py"),
    ],
)
def test_what_is_missing_is_said(dist: ModuleType, clone: Path, file: str, text: str, objection: str) -> None:
    (clone / file).write_text(text)
    assert objection in "\n".join(dist.objections_to_release("v0.1.0"))


def test_files_in_the_archives_have_the_time_of_the_commit(
    dist: ModuleType, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dist.source_date() == "1800000000"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert dist.source_date() == "1700000000"


def test_everything_vendored_is_in_the_bill_of_materials(dist: ModuleType) -> None:
    folders = [path for path in (ROOT / "pleme_redis_django").glob("static/**/vendor/*") if path.is_dir()]
    components = dist.vendored()
    assert sorted(one["name"].lower() for one in components) == sorted(path.name for path in folders)
    for component, folder in zip(components, folders, strict=True):
        assert component["version"] in (folder / "README.md").read_text(encoding="utf-8")
