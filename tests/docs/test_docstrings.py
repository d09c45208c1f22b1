"""What a docstring or a comment names exists: files are moved, and their old names stay behind in texts."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import pleme_redis_django

PACKAGE = Path(pleme_redis_django.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)
OF_A_PROJECT = {"jobs.py", "manage.py", "settings.py", "urls.py", "asgi.py", "apps.py", "admin.py"}
NAMES = {path.name for path in PACKAGE.rglob("*") if path.is_file()} | OF_A_PROJECT
FILE = re.compile(r"(?<![\w.*<{])\w+\.(?:py|lua|js)\b(?!\.)")


def texts(path: Path) -> Iterator[str]:
    """Yield the docstrings, of fields too, and the comments of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.value.value
    with path.open("rb") as file:
        yield from (
            token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT
        )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_file_that_a_text_names_exists(path: Path) -> None:
    named = {name for text in texts(path) for name in FILE.findall(text)}
    assert named <= NAMES
