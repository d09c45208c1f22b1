"""Ask which known vulnerabilities the packages have that an installation of this one brings along.

Installs the clone with the extras that users choose from into .venvs/audited, and pip-audit into an environment of
its own, so that its own packages are not asked for. It asks a public database, and so needs the network. Standard
library only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import extras

ROOT = Path(__file__).resolve().parents[1]
VENVS = ROOT / ".venvs"
OF_USERS = "binary,encryption,pydantic,tasks"


def main() -> None:
    audited, tools = VENVS / "audited", VENVS / "audit"
    for folder in (audited, tools):
        if not (folder / "bin" / "python").exists():
            do(sys.executable, "-m", "venv", str(folder))
    package = f"{ROOT}[{','.join([OF_USERS, *extras.extras('servers')])}]"
    install(audited, "--editable", package)
    install(tools, "pip-audit>=2.9")
    # Ours, the editable one, is on no index before its first release.
    freeze = (str(audited / "bin" / "python"), "-m", "pip", "freeze", "--exclude-editable", "--all")
    installed = VENVS / "audited.txt"
    installed.write_bytes(subprocess.run(freeze, check=True, capture_output=True).stdout)
    # Strict: fail when the database did not answer for a package, instead of passing it.
    audit = (str(tools / "bin" / "pip-audit"), "--strict", "--disable-pip", "--no-deps")
    do(*audit, "--requirement", str(installed))


def install(folder: Path, *packages: str) -> None:
    pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    do(*pip, "--upgrade", *packages)


def do(*command: str) -> None:
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise SystemExit(code)


if __name__ == "__main__":
    main()
