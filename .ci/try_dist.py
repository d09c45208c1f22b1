"""Try what is in dist/: the same bytes when built again, and each artifact at work in an empty environment.

Installs the wheel, then the sdist, each with its dependencies alone and then with servers, and runs
tests/packaging/first_use.py outside of the clone. Standard library only.
"""

from __future__ import annotations

import filecmp
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import build_dist
import extras

FIRST_USE = build_dist.ROOT / "tests" / "packaging" / "first_use.py"
# Serves the page and the socket of the trial; which server a project uses is its own choice.
WEB_SERVER = ["uvicorn", "websockets"]
WITHOUT_SERVERS = """
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "pleme_redis_django"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    PLEME_REDIS={"URL": None}, USE_TZ=True,
)
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from pleme_redis_django import Job
assert Job.objects.count() == 0
"""


def main() -> int:
    built = sorted(build_dist.DIST.glob("pleme_redis_django-*"))
    if len(built) != 2:
        raise SystemExit(
            f"error: dist/ has {len(built)} artifacts instead of a wheel and an sdist. Run make dist."
        )
    build_again(built)
    for artifact in sorted(built, key=lambda path: path.suffix != ".whl"):
        try_artifact(artifact)
    return 0


def build_again(built: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.umask(0o077)  # What a machine sets must not show in the archives.
        again = build_dist.build(build_dist.release_tools(), Path(folder))
        differing = [
            one.name
            for one, two in zip(built, again, strict=True)
            if not filecmp.cmp(one, two, shallow=False)
        ]
        os.umask(0o022)
    if differing:
        raise SystemExit(f"error: built again, these differ: {', '.join(differing)}.")
    print(f"Built again with another umask: the same bytes ({', '.join(path.name for path in built)}).")


def try_artifact(artifact: Path) -> None:
    folder = build_dist.ROOT / ".venvs" / "dist-try"
    python = str(folder / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    install = [*build_dist.pip(python), "install"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    servers = ",".join(extras.extras("servers"))
    print(f"{artifact.name}: installing into an empty environment ...", flush=True)
    subprocess.run([*install, str(artifact)], check=True)
    compare_with_bill(python, artifact)
    with tempfile.TemporaryDirectory(prefix="pleme-dist-") as project:
        subprocess.run([python, "-I", "-c", WITHOUT_SERVERS], cwd=project, env=environment, check=True)
        print(f"{artifact.name}: SQLite without Redis and without libpq", flush=True)
        subprocess.run([*install, f"{artifact}[{servers}]", *WEB_SERVER], check=True)
        subprocess.run([python, "-I", str(FIRST_USE)], cwd=project, env=environment, check=True)
    missing, strange = compare_with_source(folder)
    if missing or strange:
        raise SystemExit(f"error: {artifact.name}: missing {missing}, not of the package {strange}.")
    print(f"{artifact.name}: installed every file of the package, and nothing else", flush=True)


def compare_with_bill(python: str, artifact: Path) -> None:
    """Compare what an installation has brought along with dist/'s bill of materials."""
    excluded = [f"--exclude={name}" for name in ("pip", "setuptools", "pleme-redis-django")]
    listing = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "list", "--format=json", *excluded],
        capture_output=True,
        check=True,
    )
    bill = json.loads(build_dist.BILL.read_text(encoding="utf-8"))
    from_the_index = [one for one in bill["components"] if one["purl"].startswith("pkg:pypi/")]
    installed, listed = (
        {(re.sub(r"[-_.]+", "-", one["name"]).lower(), one["version"]) for one in packages}
        for packages in (json.loads(listing.stdout), from_the_index)
    )
    if installed != listed:
        raise SystemExit(
            f"error: {artifact.name} brought {sorted(installed - listed)} along, which {build_dist.BILL.name} does not"
            f" list; it lists {sorted(listed - installed)} instead. Run make dist again."
        )
    print(f"{artifact.name}: brings along the {len(listed)} packages of {build_dist.BILL.name}", flush=True)


def compare_with_source(folder: Path) -> tuple[list[str], list[str]]:
    """Return the files of the source that were not installed as they are, and what else was installed."""
    [site] = folder.glob("lib/python*/site-packages")
    [info] = site.glob("pleme_redis_django-*.dist-info")
    listed = {line.split(",")[0] for line in (info / "RECORD").read_text(encoding="utf-8").splitlines()}
    installed = {
        name for name in listed if not name.startswith(f"{info.name}/") and not name.endswith(".pyc")
    }
    source = {
        path.relative_to(build_dist.ROOT).as_posix(): path
        for path in (build_dist.ROOT / "pleme_redis_django").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    same = {
        name
        for name, path in source.items()
        if name in installed and filecmp.cmp(path, site / name, shallow=False)
    }
    return sorted(source.keys() - same), sorted(installed - source.keys())


if __name__ == "__main__":
    sys.exit(main())
