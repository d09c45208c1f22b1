"""The dashboard's files: what is vendored is what its page says, and nothing needs a loose policy."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from django.template.loader import get_template

import pleme_redis_django

PACKAGE = Path(pleme_redis_django.__file__).parent
VENDORED = PACKAGE / "static/pleme_redis_django/vendor/uplot"
TEMPLATES = sorted((PACKAGE / "templates/pleme_redis_django/dashboard").glob("*.html"))


def test_vendored_files_are_those_of_the_record() -> None:
    record = (VENDORED / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| `[\w./]+` \| `([0-9a-f]{64})` \|$", record, re.MULTILINE)
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDORED.iterdir()
        if path.name != "README.md"
    }
    assert dict(rows) == found
    assert "| Version | 1.6.32 |" in record
    assert sum(path.stat().st_size for path in VENDORED.iterdir()) < 300_000


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_compiles_and_has_nothing_inline(path: Path) -> None:
    get_template(f"pleme_redis_django/dashboard/{path.name}")
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


@pytest.mark.parametrize("name", ["dashboard.css", "dashboard.js", "dashboard-charts.js"])
def test_file_names_no_colour_and_no_host_of_its_own(name: str) -> None:
    text = (PACKAGE / "static/pleme_redis_django" / name).read_text(encoding="utf-8")
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?=[;, )])|rgba?\(|https?://", text)


def test_nothing_is_marked_for_translation() -> None:
    """The texts of the package are English, all of them: some marks would make pages of two languages."""
    texts = {
        path: path.read_text(encoding="utf-8")
        for suffix in ("py", "html", "js")
        for path in PACKAGE.rglob(f"*.{suffix}")
    }
    marks = re.compile(r"\bn?p?gettext|{% (blocktrans|trans)|load [^%]*i18n")
    assert [path.name for path, text in texts.items() if marks.search(text)] == []
