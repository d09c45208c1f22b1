"""The reference of the checks lists each of them."""

from __future__ import annotations

import re
from pathlib import Path

from pleme_redis_django import checks

ID = re.compile(r"pleme_redis_django\.[EW]\d{3}")


def test_every_check_is_in_the_reference_and_nothing_else() -> None:
    package = Path(checks.__file__).parents[1]
    # The tasks API asks the backend itself about each of its aliases.
    modules = [*(package / "checks").glob("*.py"), package / "tasks_backend" / "alias_checks.py"]
    in_code = {found for module in modules for found in ID.findall(module.read_text(encoding="utf-8"))}
    reference = Path(checks.__file__).parents[2] / "docs" / "reference" / "checks.md"
    assert set(ID.findall(reference.read_text(encoding="utf-8"))) == in_code
