"""What the suite says where a browser, or a library that it needs, is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import browsers


@pytest.fixture
def broken_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Node whose library is missing, as playwright's own is on a bare Debian."""
    program = tmp_path / "node"
    program.write_text("#!/bin/sh\necho 'libatomic.so.1: cannot open shared object file' >&2\nexit 127\n")
    program.chmod(0o755)
    monkeypatch.setattr(browsers, "_playwrights_node", lambda: str(program))
    browsers.missing.cache_clear()
    monkeypatch.setattr(browsers, "chromium_program", lambda: "/usr/bin/true")
    yield str(program)
    # Else every browser test of this process would be told that there is none.
    browsers.missing.cache_clear()


def test_a_node_that_does_not_start_is_named_with_what_to_install(broken_node: str) -> None:
    message = browsers.missing()
    assert broken_node in message and "libatomic.so.1" in message
    assert message.endswith("apt-get install libatomic1") and "\n" not in message


def test_a_node_that_does_not_start_is_passed_over(broken_node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: "/bin/true" if program == "node" else None)
    assert browsers.node_program() == "/bin/true"
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(LookupError, match="libatomic1"):
        browsers.node_program()
