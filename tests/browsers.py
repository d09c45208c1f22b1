"""Which browser and which Node the tests can run on this machine, and what is missing for them."""

from __future__ import annotations

import functools
import shutil
import subprocess


def chromium_program() -> str:
    """Return the path of the system's Chromium, "" when there is none."""
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return next((program for program in found if program), "")


@functools.cache
def missing() -> str:
    """Return what has to be installed before a browser test can run, "" when nothing has."""
    if not chromium_program():
        return "No chromium on PATH. On Debian and Ubuntu: apt-get install chromium libatomic1"
    return _fault_of(_playwrights_node())


def node_program() -> str:
    """Return a Node that starts: the system's, or the one that playwright brings. Raises LookupError."""
    programs = [shutil.which("node"), _playwrights_node()]
    faults = []
    for program in filter(None, programs):
        if not (fault := _fault_of(program)):
            return program
        faults.append(fault)
    raise LookupError(" ".join(faults))


def _playwrights_node() -> str:
    from playwright._impl._driver import compute_driver_executable

    return str(compute_driver_executable()[0])


def _fault_of(program: str) -> str:
    """Return why a program does not start, in one line: playwright would say so on standard error alone."""
    started = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if started.returncode == 0:
        return ""
    reason = (started.stderr.strip() or f"exit code {started.returncode}").splitlines()[0]
    return f"{program} does not start: {reason}. On Debian and Ubuntu: apt-get install libatomic1"
