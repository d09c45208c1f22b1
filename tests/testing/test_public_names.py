"""The test kit's names: resolved on first use, and the same for type checkers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from pleme_redis_django import testing


@pytest.mark.parametrize("name", testing.__all__)
def test_every_name_resolves(name: str) -> None:
    assert getattr(testing, name).__module__.startswith("pleme_redis_django.testing") or callable(
        getattr(testing, name)
    )
    assert name in dir(testing)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(testing.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        f"{alias.asname}:{node.module}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    given = {f"{name}:pleme_redis_django.testing.{module}" for name, module in testing._MODULE_OF.items()}
    assert seen == given


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'drain_job'"):
        testing.drain_job  # noqa: B018 - the access is what is tested


def test_importing_the_kit_imports_neither_django_nor_pytest() -> None:
    program = (
        "import sys, pleme_redis_django.testing as kit\n"
        "kit.MemoryJobStore, kit.ManualClock\n"
        "print(sorted({'django', 'pytest', 'redis'} & sys.modules.keys()))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
