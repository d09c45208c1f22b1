"""Build sdist, wheel and bill of materials into dist/, and check them: ``build_dist.py [--tag v0.1.0]``.

The same commit gives the same bytes, with one version of the build backend. Builds in an environment of its own, in
.venvs/, with the tools of pyproject.toml's group ``release``. Standard library only.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
TOOLS = ROOT / ".venvs" / "dist"
BILL = DIST / "sbom.cdx.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--tag", help="the tag that is released: must be v and the version, of a commit with its changes"
    )
    options = parser.parse_args()
    if options.tag and (objections := objections_to_release(options.tag)):
        print("\n".join(f"error: {each}" for each in objections), file=sys.stderr)
        return 1
    if changes := uncommitted():
        print(f"note: built from files that are not committed: {', '.join(changes[:5])}", file=sys.stderr)
    python = release_tools()
    shutil.rmtree(DIST, ignore_errors=True)
    built = build(python, DIST)
    subprocess.run([python, "-m", "twine", "check", "--strict", *map(str, built)], check=True)
    [wheel] = (path for path in built if path.suffix == ".whl")
    write_bill_of_materials(python, wheel)
    for path in [*built, BILL]:
        print(
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT)}  {path.stat().st_size:,} bytes"
        )
    return 0


def release_tools() -> str:
    """Return the Python of the environment that builds and checks; makes it when it is missing or old."""
    python = TOOLS / "bin" / "python"
    wanted = project()["dependency-groups"]["release"]
    stamp = TOOLS / ".installed"
    if not stamp.exists() or stamp.read_text() != "\n".join(wanted):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(TOOLS)], check=True)
        subprocess.run([*pip(str(python)), "install", *wanted], check=True)
        stamp.write_text("\n".join(wanted))
    return str(python)


def build(python: str, folder: Path) -> list[Path]:
    """Build the sdist, and the wheel from it; return both."""
    subprocess.run(
        [python, "-m", "build", "--outdir", str(folder), str(ROOT)],
        env={**os.environ, "SOURCE_DATE_EPOCH": source_date(), "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return sorted(path for path in folder.iterdir() if path.name.endswith((".tar.gz", ".whl")))


def write_bill_of_materials(python: str, wheel: Path) -> None:
    """Write what the wheel contains of others and brings along when it is installed alone today, as CycloneDX."""
    installed = ROOT / ".venvs" / "dist-bill"
    interpreter = str(installed / "bin" / "python")
    # Without pip, which would be listed as well.
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(installed)], check=True)
    subprocess.run([*pip(python), "--python", interpreter, "install", str(wheel)], check=True)
    command = [python, "-m", "cyclonedx_py", "environment", "--mc-type", "library", "--output-reproducible"]
    subprocess.run(
        [*command, "--pyproject", str(ROOT / "pyproject.toml"), "--output-file", str(BILL), interpreter],
        env={**os.environ, "SOURCE_DATE_EPOCH": source_date()},
        check=True,
    )
    bill = json.loads(BILL.read_text(encoding="utf-8"))
    # pyproject.toml does not say the version, and a reproducible bill has no random number, which attesting asks for.
    bill["metadata"]["component"]["version"] = version()
    of_the_wheel = uuid.uuid5(uuid.NAMESPACE_URL, hashlib.sha256(wheel.read_bytes()).hexdigest())
    bill["components"] += vendored()
    bill["serialNumber"] = f"urn:uuid:{of_the_wheel}"
    BILL.write_text(json.dumps(bill, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def vendored() -> list[dict]:
    """Return, as components of a bill of materials, what others have made and the wheel contains."""
    folder = ROOT / "pleme_redis_django" / "static" / "pleme_redis_django" / "vendor" / "uplot"
    banner = (folder / "uPlot.iife.min.js").read_text(encoding="utf-8").splitlines()[0]
    found = re.search(r"/uPlot \(v([\d.]+)\)", banner)
    if found is None:
        raise SystemExit(
            f"error: {folder} does not say its version in the first line of the script: {banner[:80]}"
        )
    uplot = {"type": "library", "name": "uPlot", "version": found[1], "purl": f"pkg:npm/uplot@{found[1]}"}
    return [{**uplot, "bom-ref": uplot["purl"], "licenses": [{"license": {"id": "MIT"}}]}]


def source_date() -> str:
    """Return the time that files in the archives have: that of the commit, or what the environment says."""
    return os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or "1580601600"


def objections_to_release(tag: str) -> list[str]:
    """Return what keeps a tag from being released."""
    found = []
    if tag != f"v{version()}":
        found.append(
            f'The tag is "{tag}", and the version "{version()}". Tag v{version()}, or change __version__.'
        )
    if f"\n## {version()} " not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        found.append(f'CHANGELOG.md has no section "## {version()} (date)". Rename "Unreleased".')
    if not project()["project"].get("urls"):
        found.append(
            "pyproject.toml has no [project.urls]. Add the addresses of the repository and its changelog."
        )
    if changes := uncommitted():
        found.append(f"Not committed: {', '.join(changes)}. Commit first.")
    return found


def version() -> str:
    """Return ``__version__`` of the package, without importing it."""
    tree = ast.parse((ROOT / "pleme_redis_django" / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return str(ast.literal_eval(node.value))
    raise SystemExit("error: pleme_redis_django/__init__.py has no __version__.")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pip(python: str) -> list[str]:
    return [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def uncommitted() -> list[str]:
    """Return the files that differ from the commit; none outside of a clone."""
    return [line[3:] for line in git("status", "--porcelain").splitlines()]


def git(*arguments: str) -> str:
    """Return what git prints; nothing where there is no git, or no clone."""
    program = shutil.which("git")
    if program is None or not (ROOT / ".git").exists():
        return ""
    ended = subprocess.run(
        [program, "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
    )
    return ended.stdout.rstrip()


if __name__ == "__main__":
    sys.exit(main())
