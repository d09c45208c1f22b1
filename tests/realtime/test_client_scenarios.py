"""pleme.js against what a server and a network can do to it, on a socket and a clock of the scenario's own.

What a real server says to it, and how a browser runs it, is in test_client.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("client_scenarios.mjs")
SCENARIOS = re.findall(r'^  async "(.+)"\(\)', SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.process
@pytest.mark.browser
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_client(scenario: str) -> None:
    from playwright._impl._driver import compute_driver_executable

    node = shutil.which("node") or compute_driver_executable()[0]
    done = subprocess.run(
        [node, str(SCRIPT), scenario], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
