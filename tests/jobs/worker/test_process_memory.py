"""How large a process is: by what the system says, and what it says where that file is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pleme_redis_django.jobs.worker import process_memory
from pleme_redis_django.jobs.worker.process_memory import occupied_mb


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux alone tells what is occupied now")
def test_what_is_allocated_is_occupied_and_what_is_freed_is_not() -> None:
    before = occupied_mb()
    large = bytearray(64 * 1024 * 1024)
    large[::4096] = b"x" * (len(large) // 4096)
    assert occupied_mb() - before > 48
    del large
    assert occupied_mb() - before < 48


def test_where_the_system_does_not_tell_it_is_the_most_that_it_ever_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = occupied_mb()
    monkeypatch.setattr(process_memory, "_STATM", tmp_path / "missing")
    assert now * 0.9 < occupied_mb() < 1024 * 1024
