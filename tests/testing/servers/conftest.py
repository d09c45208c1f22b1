"""Folders for tests that run servers as an unprivileged user."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path_public() -> Iterator[Path]:
    """A fresh folder that every user may enter; pytest's own ``tmp_path`` is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="pleme-public-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
