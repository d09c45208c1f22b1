"""What a user imports from the package itself: lazy at run time, and visible to type checkers."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import pleme_redis_django

SOURCE = Path(str(pleme_redis_django.__file__))


@pytest.mark.parametrize("name", pleme_redis_django.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(pleme_redis_django, name).__module__.startswith("pleme_redis_django.")


def test_type_checkers_see_the_names_that_are_resolved_at_run_time() -> None:
    seen = {}
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pleme_redis_django."):
            seen |= {alias.asname: node.module for alias in node.names}
    resolved = {
        name: f"pleme_redis_django.{module}" for name, module in pleme_redis_django._MODULE_OF.items()
    }
    assert seen == resolved


def test_importing_the_package_imports_no_django() -> None:
    program = "import sys, pleme_redis_django; print('django' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'enqeue'"):
        _ = importlib.import_module("pleme_redis_django").enqeue
