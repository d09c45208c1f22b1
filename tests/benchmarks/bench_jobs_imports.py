"""What importing the package costs a process of a project: time and memory of django.setup()."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers

PROJECTS = {
    "setup of Django alone": {"JOBS_ALONE_APPS": ""},
    "setup with jobs alone": {},
    "setup with jobs and Redis": {"JOBS_ALONE_REDIS": "redis://127.0.0.1:6379/0"},
}


def run(servers: BenchmarkServers) -> list[Row]:
    rows = []
    for name, project in PROJECTS.items():
        cost = _measure({**servers.environment, **project})
        rows += [
            Row(name=name, value=cost["ms"], unit="ms", note=f"{cost['modules']:.0f} modules"),
            Row(name=f"{name}, RSS", value=cost["MiB"], unit="MiB"),
        ]
    return rows


def _measure(environment: dict[str, str]) -> dict[str, float]:
    environment["DJANGO_SETTINGS_MODULE"] = "tests.packaging.jobs_alone.settings"
    ended = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.setup_cost"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    cost: dict[str, float] = json.loads(ended.stdout)
    return cost
