"""The pages of docs/ as tests see them: tables by header, code blocks by language, links, anchors."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_CELL_BORDER = re.compile(r"(?<!\\)\|")
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>.*)$")
_HEADING = re.compile(r"^(#{1,6}) +(.*?) *$")
# An invisible line before a block: "run" executes it, "file:" and "append:" name the file that it is
# or is added to, "from:" the file that it is an excerpt of.
_MARK = re.compile(r"^<!-- (?P<mark>run|layers|(?:file|append|from): [\w./-]+) -->$")

Row = dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CodeBlock:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return every page of the documentation, and those of the repository's root."""
    found = [path for path in DOCS.rglob("*.md") if "_build" not in path.parts]
    return [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *sorted(found)]


def rows(page: Path, *headers: str) -> list[Row]:
    """Return the rows of all tables of a page that have these headers."""
    return [row for table in tables(page, *headers) for row in table]


def tables(page: Path, *headers: str) -> list[list[Row]]:
    """Return the tables of a page that have these headers, each as its rows."""
    return [table for table in _tables(page) if table and set(headers) <= table[0].keys()]


def code(text: str) -> str:
    """Return the first `code` of a cell."""
    found = re.search(r"`([^`]+)`", text)
    assert found, f"no `code` in {text!r}"
    return found[1]


def code_blocks(page: Path) -> Iterator[CodeBlock]:
    """Yield the fenced blocks of a page."""
    opened: re.Match[str] | None = None
    mark, body, start = "", [], 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if opened is not None:
            if line.strip() == opened["ticks"]:
                language = opened["info"].strip()
                text = "".join(f"{each.removeprefix(opened['indent'])}\n" for each in body)
                yield CodeBlock(page=page, line=start, language=language, mark=mark, text=text)
                opened, mark, body = None, "", []
            else:
                body.append(line)
        elif fence := _FENCE.match(line):
            opened, start = fence, number
        elif found := _MARK.match(line):
            mark = found["mark"]
        elif line.strip():
            mark = ""
    if opened is not None:
        raise ValueError(f"{page}: the block that begins at line {start} is not closed")


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a page that are in no code block."""
    inside = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            yield number, line


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts and MyST build them."""
    headings = (_HEADING.match(line) for _number, line in prose(page))
    return {_slug(heading[2]) for heading in headings if heading}


def sections(page: Path) -> Iterator[tuple[str, str]]:
    """Yield (heading, text with its code) of each part of a page."""
    heading, body, inside = page.name, [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        inside ^= bool(_FENCE.match(line))
        if not inside and (found := _HEADING.match(line)):
            yield heading, "\n".join(body)
            heading, body = found[2], []
        else:
            body.append(line)
    yield heading, "\n".join(body)


def _slug(heading: str) -> str:
    words = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return words.replace(" ", "-")


def _tables(page: Path) -> Iterator[list[Row]]:
    table: list[list[str]] = []
    for _number, line in [*prose(page), (0, "")]:
        if line.startswith("|"):
            table.append([cell.strip() for cell in _CELL_BORDER.split(line)[1:-1]])
        elif table:
            header, _rule, *body = table
            yield [dict(zip(header, cells, strict=True)) for cells in body]
            table = []
