"""Nothing: its suite imports the names, for tests that are left out."""

from __future__ import annotations

from typing import Any

normalize_uuid = None


def exclusive_transaction(*_arguments: Any) -> Any:
    """Return what decorates a test that is left out."""
    return lambda test: test
