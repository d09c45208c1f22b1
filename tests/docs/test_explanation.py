"""What the explanations claim about the code: layers, transitions, files, and the tests they call proof."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.metrics.rollups import KEPT_SECONDS
from pleme_redis_django.monitoring.spans import CHART_SPANS
from tests.docs.pages import DOCS, ROOT, code_blocks, pages, prose, rows, sections

EXPLANATION = DOCS / "explanation"
TEST_NAME = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
CONTRACT_TEST = re.compile(r"`(test_\w+)`")
RATE = re.compile(r"\d[\d,.]*\s?(?:jobs/s|/s\b|jobs a second|transactions a second|MiB|MB\b)")


def test_layers_are_the_enforced_ones() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layered = [one for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    documented = [block for block in code_blocks(EXPLANATION / "architecture.md") if block.mark == "layers"]
    assert [block.text.splitlines() for block in documented] == [one["layers"] for one in layered]


def test_layout_names_every_part_of_the_package() -> None:
    text = (EXPLANATION / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "pleme_redis_django"
    parts = [path for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    layout = text.split("## The layout")[1].split("```")[1]
    missing = [path.name for path in parts if f"  {path.name}" not in layout]
    gone = [
        name for name in re.findall(r"^  ([\w/.]+)", layout, re.MULTILINE) if not (package / name).exists()
    ]
    assert (missing, gone) == ([], [])


def test_every_module_of_the_sockets_is_in_its_table() -> None:
    heading = "Part of the sockets"
    table = rows(EXPLANATION / "architecture.md", heading, "Owns")
    documented = [name for row in table for name in re.findall(r"`(\w+)`", row[heading])]
    assert sorted(documented) == modules_below(ROOT / "pleme_redis_django/realtime")


def test_every_module_of_the_engine_is_in_the_table_of_its_room() -> None:
    documented: dict[str, list[str]] = {}
    room = ""
    for row in rows(EXPLANATION / "architecture.md", "Folder", "Modules", "What they own"):
        room = row["Folder"].strip("`/") or room
        documented.setdefault(room, []).extend(re.findall(r"`(\w+)`", row["Modules"]))
    rooms = [path for path in (ROOT / "pleme_redis_django/jobs").iterdir() if (path / "__init__.py").exists()]
    assert {name: sorted(names) for name, names in documented.items()} == {
        path.name: modules_below(path) for path in rooms
    }


def modules_below(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.rglob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize(
    "row", rows(EXPLANATION / "life-of-a-job.md", "Status"), ids=lambda row: row["Status"]
)
def test_transitions(row: dict[str, str]) -> None:
    status = JobStatus(row["Status"])
    documented = set() if row["May become"] == "nothing" else set(row["May become"].split(", "))
    assert documented == {after.value for after in JobStatus if status.can_become(after)}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_named_tests_exist(page: Path) -> None:
    for number, line in prose(page):
        for path, name in TEST_NAME.findall(line):
            assert (ROOT / path).exists(), f"line {number}: {path}"
            assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8") or not name, (
                f"line {number}: {name}"
            )


def test_bounds_follow_from_the_defaults() -> None:
    config = WorkerPoolConfig()
    bounds = {row["Promise"]: row["Bound at the defaults"] for row in _promises()}
    after_death = config.heartbeat_seconds + config.lease_seconds + config.lease_sweep_seconds
    stuck = bounds["No job is stuck in RUNNING"]
    assert bounds["No ready job waits unnoticed"].startswith(f"{config.poll_timeout:g} s")
    assert stuck.startswith(f"{after_death:g} s after")
    assert f"{config.stale_job_threshold_seconds:g} s, and up to" in stuck
    assert f"up to {config.stale_check_interval_seconds:g} s more" in stuck


def _promises() -> list[dict[str, str]]:
    return rows(EXPLANATION / "guarantees.md", "Promise")


def test_how_long_rollups_are_kept_and_what_they_are_drawn_over() -> None:
    seconds = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "days": 86_400}

    def of(text: str) -> int:
        number, unit = text.split()
        return int(number) * seconds[unit]

    table = rows(EXPLANATION / "dashboard-figures.md", "step", "kept for", "drawn over")
    assert {of(row["step"]): of(row["kept for"]) for row in table} == KEPT_SECONDS
    assert {(of(row["drawn over"]), of(row["step"])) for row in table} == {
        (span.seconds, span.step_seconds) for span in CHART_SPANS.values()
    }


def test_named_tests_of_the_contract_exist() -> None:
    contract = ROOT / "pleme_redis_django/testing/store_contract"
    source = "".join(path.read_text(encoding="utf-8") for path in contract.glob("*.py"))
    named = CONTRACT_TEST.findall((EXPLANATION / "guarantees.md").read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if f"def {name}(" not in source] == []


def test_every_promise_names_its_proof() -> None:
    found = dict(sections(EXPLANATION / "guarantees.md"))
    headings = list(found)
    promises = headings[headings.index("At a glance") + 1 : headings.index("What is not promised")]
    assert [each for each in promises if not TEST_NAME.search(found[each].partition("- Proof:")[2])] == []


def test_glossary_is_in_order_and_names_nothing_twice() -> None:
    terms = re.findall(r"^## (.+)$", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert terms == sorted(set(terms))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_figure_without_the_command_that_measures_it(page: Path) -> None:
    for heading, text in sections(page):
        assert not RATE.search(text) or "make bench" in text or "$ " in text, f"{page.name}: {heading}"
