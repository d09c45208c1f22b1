"""Environments that have another queue beside this package, in .venvs/. Standard library only."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".ci"))
import matrix


def environment(name: str, requirements: Sequence[str]) -> str:
    """Install a queue beside this package, and return the interpreter that has both."""
    interpreter = matrix.find_interpreter("3.12") or matrix.find_interpreter("3.13")
    if interpreter is None:
        raise SystemExit("error: these queues need Python 3.12 or 3.13, and neither is here.")
    folder = matrix.VENVS / name
    python = str(folder / "bin" / "python")
    extras = subprocess.run(
        [interpreter, str(matrix.ROOT / ".ci" / "extras.py"), "servers"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    if not folder.exists():
        subprocess.run([interpreter, "-m", "venv", str(folder)], check=True)
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    package = ["--editable", f"{matrix.ROOT}[{extras}]"]
    subprocess.run([*install, *package, *requirements], check=True)
    return python
