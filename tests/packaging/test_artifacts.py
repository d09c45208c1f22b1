"""The wheel and the sdist as they are built here, offline: what is in them, and what they say of themselves."""

from __future__ import annotations

import email.message
import email.parser
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

import pleme_redis_django

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pleme_redis_django"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
STEM = f"pleme_redis_django-{pleme_redis_django.__version__}"
REQUIRED = {"django", "django-redis", "channels", "channels-redis", "psycopg"}


def build(folder: Path, *targets: str) -> None:
    wanted = [argument for target in targets for argument in ("--target", target)]
    command = [sys.executable, "-m", "hatchling", "build", *wanted, "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build(folder, "sdist", "wheel")
    return folder


@pytest.fixture
def wheel(built: Path) -> Path:
    return built / f"{STEM}-py3-none-any.whl"


@pytest.fixture
def sdist(built: Path) -> Path:
    return built / f"{STEM}.tar.gz"


def source_files() -> dict[str, bytes]:
    """Return every file of the package with what is in it."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"{STEM}.dist-info/METADATA").decode()
    return email.parser.Parser().parsestr(text)


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    of_the_package = {
        name: data for name, data in inside.items() if not name.startswith(f"{STEM}.dist-info/")
    }
    assert of_the_package == source_files()


@pytest.mark.parametrize(
    "pattern",
    ["py.typed", "migrations/0*.py", "templates/**/*.html", "static/**/*.js", "redis_state/lua/**/*.lua"],
)
def test_what_is_no_module_is_among_them(wheel: Path, pattern: str) -> None:
    expected = {path.relative_to(ROOT).as_posix() for path in PACKAGE.glob(pattern)}
    with zipfile.ZipFile(wheel) as archive:
        assert expected and expected <= set(archive.namelist())


def test_licenses_are_those_of_the_package_and_of_what_is_vendored(wheel: Path) -> None:
    vendored = [path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("LICENSE")]
    assert vendored
    assert metadata(wheel).get_all("License-File") == ["LICENSE", *vendored]


def test_the_version_is_that_of_the_package_and_of_the_quickstart(wheel: Path) -> None:
    version = pleme_redis_django.__version__
    assert metadata(wheel)["Version"] == version
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert f"pleme-redis-django {version} (" in (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")


def test_required_packages_and_no_upper_bounds(wheel: Path) -> None:
    required = [each for each in metadata(wheel).get_all("Requires-Dist", []) if "extra ==" not in each]
    assert {re.split(r"[<>=!~\[; ]", each)[0] for each in required} >= REQUIRED
    assert [each for each in required if "[" in each] == []
    all_of_them = metadata(wheel).get_all("Requires-Dist", [])
    assert [each for each in all_of_them if re.search("[<~]|==|!=", each.split(";")[0])] == []


def test_each_extra_that_the_documentation_names_is_one_of_the_wheel(wheel: Path) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {
        name.strip()
        for page in pages
        for names in re.findall(
            r"pleme[-_]redis[-_]django\[([\w, -]+)\]|extra `\[([\w-]+)\]`", page.read_text(encoding="utf-8")
        )
        for name in "".join(names).split(",")
    }
    assert {"binary", "encryption", "pydantic", "servers", "tasks"} <= named
    assert named <= set(metadata(wheel).get_all("Provides-Extra", []))


def test_each_floor_has_its_reason_above_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    first = lines.index("dependencies = [") + 1
    block = lines[first : lines.index("]", first)]
    bare = [
        line
        for before, line in zip(["", *block], block, strict=False)
        if '"' in line and "#" not in before + line
    ]
    assert bare == []


def test_supported_versions_are_classifiers(wheel: Path) -> None:
    classifiers = metadata(wheel).get_all("Classifier", [])
    for series in ("5.2", "6.0", "6.1"):
        assert f"Framework :: Django :: {series}" in classifiers
    for series in ("3.11", "3.12", "3.13", "3.14"):
        assert f"Programming Language :: Python :: {series}" in classifiers
    assert metadata(wheel)["Requires-Python"] == ">=3.11"


def test_the_sdist_has_what_its_tests_need_and_nothing_that_was_built(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {PurePosixPath(name).relative_to(STEM).as_posix() for name in archive.getnames()}
    assert source_files().keys() <= names
    assert {
        "tests/conftest.py",
        "docs/index.md",
        "Makefile",
        ".ci/matrix.py",
        "CHANGELOG.md",
        "LICENSE",
    } <= names
    built = re.compile(r"(^|/)(__pycache__|_build|dist|\.venvs?|node_modules)(/|$)|\.(pyc|sqlite3|egg-info)$")
    assert [name for name in names if built.search(name)] == []


def test_the_wheel_of_the_sdist_is_the_wheel_and_a_second_build_has_the_same_bytes(
    built: Path, wheel: Path, sdist: Path, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(tmp_path / "again")]
    subprocess.run(command, cwd=tmp_path / "source" / STEM, check=True, capture_output=True, timeout=120)
    again = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert again == {path.name: path.read_bytes() for path in (wheel, sdist)}
