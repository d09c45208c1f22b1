"""Code in the documentation: every Python block compiles, and the marked ones of a page run in order."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pleme_redis_django.jobs.definitions.registry import registry
from tests.docs.pages import ROOT, CodeBlock, code_blocks, pages

PYTHON_BLOCKS = [
    block
    for page in pages()
    for block in code_blocks(page)
    if block.language == "python" and not block.mark.startswith("from: ")
]
RUN_PAGES = sorted({block.page for block in PYTHON_BLOCKS if block.mark == "run"})
LANGUAGES = {
    "{eval-rst}",
    "python",
    "console",
    "text",
    "yaml",
    "ini",
    "docker",
    "json",
    "sql",
    "html",
    "javascript",
    "{toctree}",
}


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=str)
def test_python_block_compiles(block: CodeBlock) -> None:
    # A page may show a call in isolation, so a bare `await` and a `...` body are fine.
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_names_its_language(page: Path) -> None:
    assert {block.language for block in code_blocks(page)} <= LANGUAGES


@pytest.fixture
def _registry_as_it_was() -> Iterator[None]:
    before = dict(registry._definitions)
    yield
    registry._definitions.clear()
    registry._definitions.update(before)


@pytest.mark.django_db
@pytest.mark.usefixtures("_registry_as_it_was")
@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_marked_blocks_of_a_page_run(page: Path) -> None:
    module = ModuleType(f"documented_{page.stem.replace('-', '_')}")
    for block in code_blocks(page):
        if block.mark == "run":
            padding = "\n" * block.line  # so that a traceback names the line of the page
            exec(compile(padding + block.text, str(page), "exec", dont_inherit=True), module.__dict__)


def test_pages_that_promise_running_code_have_some() -> None:
    assert {page.stem for page in RUN_PAGES} >= {"enqueueing", "handlers", "retries", "testing"}


EXCERPTS = [block for page in pages() for block in code_blocks(page) if block.mark.startswith("from: ")]


@pytest.mark.parametrize("block", EXCERPTS, ids=str)
def test_excerpt_is_what_the_file_says(block: CodeBlock) -> None:
    source = (ROOT / block.mark.removeprefix("from: ")).read_text(encoding="utf-8")
    assert block.text in source
