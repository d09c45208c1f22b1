"""Run benchmarks: ``python -m tests.benchmarks [module ...] [--rounds N] [--json FILE]``.

A benchmark is a module ``bench_*.py`` beside this one with ``run(servers) -> list[Row]``, one
measurement per call. The rounds of all chosen modules are interleaved, so that a slow minute of
the machine shows in everybody's spread instead of in one figure.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.report import Row, describe_machine, render, summarise
from tests.benchmarks.servers import BenchmarkServers, benchmark_servers

FOLDER = Path(__file__).parent
# Installs other packages: only when it is named.
NOT_BY_DEFAULT = {"bench_peers"}
DEFAULT_ROUNDS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    with benchmark_servers() as servers:
        rows = list(_measure(options.modules, options.rounds, servers))
        machine = _machine(servers)
    lines = summarise(rows)
    print(render(machine, lines))
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine, "rows": lines}, indent=2) + "\n")
    return 1 if any(line["meets_target"] is False for line in lines) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    known = sorted(path.stem for path in FOLDER.glob("bench_*.py"))
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=(__doc__ or "").split("\n")[0]
    )
    by_default = [name for name in known if name not in NOT_BY_DEFAULT]
    parser.add_argument(
        "modules",
        nargs="*",
        help=f"what to run (default: {', '.join(by_default)}; also: {', '.join(NOT_BY_DEFAULT)})",
    )
    parser.add_argument(
        "--rounds", type=int, default=DEFAULT_ROUNDS, help="measurements of each (default: 3)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the same table as JSON")
    options = parser.parse_args(arguments)
    options.modules = options.modules or by_default
    unknown = set(options.modules) - set(known)
    if unknown or options.rounds < 1:
        parser.error(
            f"unknown {sorted(unknown)}; known: {known}" if unknown else "--rounds must be 1 or more"
        )
    return options


def _measure(modules: Sequence[str], rounds: int, servers: BenchmarkServers) -> list[Row]:
    rows: list[Row] = []
    for number in range(1, rounds + 1):
        for name in modules:
            started = time.perf_counter()
            rows += importlib.import_module(f"tests.benchmarks.{name}").run(servers)
            print(f"round {number}/{rounds} {name}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
    return rows


def _machine(servers: BenchmarkServers) -> dict[str, str]:
    import redis
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version'), current_setting('fsync')")
        version, fsync = cursor.fetchone()
    with redis.Redis.from_url(servers.services.redis_url) as client:
        redis_version = str(client.info("server")["redis_version"])
    return describe_machine(f"{version}, fsync {fsync}", redis_version)


if __name__ == "__main__":
    sys.exit(main())
