"""What a benchmark measures, and how the measurements of all rounds become one table."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement of one round; rows of the same name are one line of the table.

    ``target`` states what is asked of it, in the row's unit: ``at_least`` for rates, else an upper limit.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = True
    note: str = ""

    @property
    def meets_target(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


def summarise(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return one line per name: median, minimum and maximum over the rounds, in order of appearance."""
    rounds: dict[str, list[Row]] = {}
    for row in rows:
        rounds.setdefault(row.name, []).append(row)
    return [_line(same) for same in rounds.values()]


def _line(same: Sequence[Row]) -> dict[str, Any]:
    values = [row.value for row in same]
    median = dataclasses.replace(same[-1], value=statistics.median(values))
    return {
        "name": median.name,
        "median": median.value,
        "unit": median.unit,
        "minimum": min(values),
        "maximum": max(values),
        "rounds": len(values),
        "target": median.target,
        "meets_target": median.meets_target,
        "note": median.note,
    }


def render(machine: dict[str, str], lines: Sequence[dict[str, Any]]) -> str:
    """Return the machine, then the aligned table."""
    head = ["benchmark", "median", "unit", "min - max", "target", "note"]
    body = [
        [
            line["name"],
            number(line["median"]),
            line["unit"],
            f"{number(line['minimum'])} - {number(line['maximum'])}",
            _target(line),
            line["note"],
        ]
        for line in lines
    ]
    widths = [max(len(row[column]) for row in [head, *body]) for column in range(len(head))]
    right_aligned = {1, 3, 4}
    text = [f"{key:12} {value}" for key, value in machine.items()] + [""]
    for row in [head, ["-" * width for width in widths], *body]:
        cells = (
            cell.rjust(width) if column in right_aligned else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def number(value: float) -> str:
    """Return ``value`` with three significant digits, or all digits of a large one."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _target(line: dict[str, Any]) -> str:
    if line["target"] is None:
        return ""
    return f"{number(line['target'])} {'met' if line['meets_target'] else 'MISSED'}"


def describe_machine(postgres_version: str, redis_version: str) -> dict[str, str]:
    """Return what a reader needs to judge the figures."""
    packages = ("django", "psycopg", "redis", "channels", "django-redis")
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB, {platform.system()}",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages),
        "postgresql": postgres_version,
        "redis": redis_version,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
