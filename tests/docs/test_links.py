"""Links inside the documentation lead somewhere, without building it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, anchors, pages, prose

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
LLMS = DOCS / "llms.txt"
EXTERNAL = ("https://", "http://", "mailto:")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_resolve(page: Path) -> None:
    broken = [
        f"line {number}: {target}"
        for number, line in prose(page)
        for target in LINK.findall(line)
        if not target.startswith(EXTERNAL) and not _resolves(page, target)
    ]
    assert not broken


def test_every_page_is_reached_from_the_index() -> None:
    """Each folder has an index whose toctree takes whatever lies there; the top names its pages."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in pages():
        if page.parent == DOCS and page.stem != "index":
            assert f"\n{page.stem}\n" in index, page
        elif page.is_relative_to(DOCS) and page.parent != DOCS:
            folder_index = page.parent / "index.md"
            assert re.search(r"^\*$", folder_index.read_text(encoding="utf-8"), re.MULTILINE)


def test_agents_find_every_page_and_each_once() -> None:
    """``llms.txt`` lists the pages; those of the API are generated, and the package has their docstrings."""
    listed = LINK.findall(LLMS.read_text(encoding="utf-8"))
    written = [
        page.relative_to(DOCS).as_posix()
        for page in pages()
        if page.is_relative_to(DOCS) and page.parent.name != "api" and page.stem != "index"
    ]
    assert sorted(listed) == sorted(written), (
        "Add the page to docs/llms.txt with a sentence, or remove it there."
    )


def _resolves(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    destination = (page.parent / path).resolve() if path else page
    if not destination.exists():
        return False
    return not anchor or anchor in anchors(destination)
