"""The reference pages say what the code says: no more, no less."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import itertools
import re
import typing
from pathlib import Path
from typing import Any

import pytest
from django.dispatch import Signal

import pleme_redis_django
from pleme_redis_django import cron, every, exceptions, models, signals, testing
from pleme_redis_django.conf import Settings, build_settings
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.jobs.definitions.options import NAMES_OF_USING
from pleme_redis_django.jobs.definitions.options_of_job import DEFAULTS_OF_JOB, NAMES_OF_JOB
from pleme_redis_django.jobs.definitions.schedule_values import CatchUp, Overlap
from pleme_redis_django.jobs.interface.bounds import Bounds
from pleme_redis_django.jobs.interface.worker_pool_config import PRESETS, WorkerPoolConfig
from pleme_redis_django.jobs.worker_pool import assembly
from pleme_redis_django.management.runworkers import agreement, options, supervisor
from pleme_redis_django.redis_state.server import keyspace
from tests.docs.pages import DOCS, Row, anchors, code, rows, tables

REFERENCE = DOCS / "reference"
RANGE = re.compile(r"([\d.,]+) to ([\d.,]+)")

SETTINGS_ROWS = rows(REFERENCE / "settings.md", "Key", "Type")
CONFIG_ROWS = rows(REFERENCE / "worker-pool-config.md", "Field", "Accepted")
PRESET_ROWS = rows(REFERENCE / "worker-pool-config.md", "Field", "`development`")


def names(found: list[Row], column: str) -> list[str]:
    return [code(row[column]) for row in found]


def numeric(found: list[Row], column: str) -> list[tuple[str, str]]:
    return [(code(row[column]), row["Accepted"]) for row in found if RANGE.search(row["Accepted"])]


def bounds(accepted: str) -> tuple[float, float]:
    low, high = RANGE.findall(accepted)[0]
    return float(low.replace(",", "")), float(high.replace(",", ""))


def number(value: float) -> float:
    """Return a whole number as an int, for fields that take no other."""
    return int(value) if value == int(value) else value


# Settings


def test_every_setting_is_documented_once() -> None:
    assert names(SETTINGS_ROWS, "Key") == [field.name.upper() for field in _settings_in_page_order()]


def _settings_in_page_order() -> list[dataclasses.Field[Any]]:
    order = {name: place for place, name in enumerate(names(SETTINGS_ROWS, "Key"))}
    return sorted(dataclasses.fields(Settings), key=lambda field: order.get(field.name.upper(), -1))


@pytest.mark.parametrize("row", SETTINGS_ROWS, ids=lambda row: code(row["Key"]))
def test_default_of_a_setting(row: Row) -> None:
    assert ast.literal_eval(code(row["Default"])) == getattr(Settings(), code(row["Key"]).lower())


@pytest.mark.parametrize(("key", "accepted"), numeric(SETTINGS_ROWS, "Key"))
def test_range_of_a_setting(key: str, accepted: str) -> None:
    low, high = map(int, bounds(accepted))
    for value in (low, high):
        build_settings({key: value})
    for value in (low - 1, high + 1):
        with pytest.raises(InvalidSettings):
            build_settings({key: value})


def test_how_often_the_database_is_scanned_without_redis() -> None:
    [url] = (row for row in SETTINGS_ROWS if code(row["Key"]) == "URL")
    assert f"scanning the database every {assembly.SCAN_SECONDS_WITHOUT_HINTS:g} s" in url["Meaning"]


# WorkerPoolConfig


def test_every_field_of_a_pool_is_documented_once() -> None:
    fields = {field.name for field in dataclasses.fields(WorkerPoolConfig)}
    assert sorted(names(CONFIG_ROWS, "Field")) == sorted(fields)


@pytest.mark.parametrize("row", CONFIG_ROWS, ids=lambda row: code(row["Field"]))
def test_default_of_a_pool_field(row: Row) -> None:
    default = getattr(WorkerPoolConfig(), code(row["Field"]))
    documented = ast.literal_eval(code(row["Default"]))
    assert (tuple(documented) if isinstance(documented, list) else documented) == default


@pytest.mark.parametrize(("field", "accepted"), numeric(CONFIG_ROWS, "Field"))
def test_range_of_a_pool_field(field: str, accepted: str) -> None:
    low, high = bounds(accepted)
    # A lease is bound to its heartbeat, which has to be in proportion here.
    beat = {"lease_seconds": {"heartbeat_seconds": 0.05}, "heartbeat_seconds": {"lease_seconds": 86_400}}
    for value in (low, high):
        WorkerPoolConfig(**{**beat.get(field, {}), field: number(value)})
    for value in (low - 0.01 if low % 1 else low - 1, high + 1):
        with pytest.raises(InvalidSettings, match=field):
            WorkerPoolConfig(**{**beat.get(field, {}), field: number(value)})


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_preset(preset: str) -> None:
    documented = {code(row["Field"]): row[f"`{preset}`"] for row in PRESET_ROWS}
    assert {field: float(text) for field, text in documented.items() if text} == PRESETS[preset]


def test_presets_are_shown_beside_the_defaults() -> None:
    for row in PRESET_ROWS:
        assert float(row["default"]) == getattr(WorkerPoolConfig(), code(row["Field"]))
    [row] = PRESET_ROWS[:1]
    assert {header.strip("`") for header in row} - {"Field", "default"} == set(PRESETS)


# runworkers


def test_options_of_runworkers() -> None:
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    visible = {
        action.option_strings[0]
        for action in parser._actions
        if action.option_strings and action.help != argparse.SUPPRESS and action.dest != "help"
    }
    documented = {code(row["Option"]).split()[0] for row in _option_rows()}
    assert documented - {"pool", "--verbosity"} == visible


def test_documented_defaults_of_runworkers() -> None:
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    shown = {code(row["Option"]).split()[0]: row["Default"].strip("`") for row in _option_rows()}
    words = {None: "the pool's", False: "off", "": "empty"}
    for action in parser._actions:
        if (option := "".join(action.option_strings[:1])) in shown:
            assert shown[option] == str(words.get(action.default, action.default)), option


def test_exit_codes_of_runworkers() -> None:
    documented = {int(row["Code"]) for row in rows(REFERENCE / "runworkers.md", "Code")}
    in_code = {value for name, value in vars(agreement).items() if name.startswith("EXIT_")}
    assert documented == in_code | {2}  # 2 is argparse's own


def test_when_runworkers_gives_up() -> None:
    [row] = (row for row in rows(REFERENCE / "runworkers.md", "Code") if row["Code"] == "1")
    assert (
        f"{supervisor.GIVE_UP_AFTER} times in a row within {supervisor.YOUNG_SECONDS:.0f} s" in row["Meaning"]
    )


def _option_rows() -> list[Row]:
    return rows(REFERENCE / "runworkers.md", "Option")


# Names, signals, exceptions


def test_public_names() -> None:
    documented = rows(REFERENCE / "public-names.md", "Name", "From")
    assert {code(row["Name"]): code(row["From"]) for row in documented} == pleme_redis_django._MODULE_OF


def test_the_guide_names_the_whole_test_kit() -> None:
    guide = (DOCS / "guides" / "testing.md").read_text(encoding="utf-8")
    assert [name for name in testing.__all__ if not re.search(rf"\b{name}\b", guide)] == []


def test_options_of_job() -> None:
    options_of_job = rows(REFERENCE / "public-names.md", "Option")
    assert names(options_of_job, "Option") == list(NAMES_OF_JOB)


def test_where_each_option_can_be_set() -> None:
    places = {
        "`using()`": set(NAMES_OF_USING),
        "`@job`": set(NAMES_OF_JOB),
        "the pool": {field.name for field in dataclasses.fields(WorkerPoolConfig)},
    }
    documented = rows(DOCS / "guides" / "bounding.md", "Option", "the pool")
    assert {field.name for field in dataclasses.fields(Bounds)} <= set(names(documented, "Option"))
    for row in documented:
        for place, accepted in places.items():
            assert row[place] == ("yes" if code(row["Option"]) in accepted else "no"), (row, place)


def test_first_options_of_the_quickstart() -> None:
    found = rows(DOCS / "quickstart.md", "Option", "`using()`")
    assert len(found) >= 9
    places = {"`using()`": NAMES_OF_USING, "`@job`": NAMES_OF_JOB}
    pool = WorkerPoolConfig()
    for row in found:
        option = code(row["Option"])
        for place, accepted in places.items():
            assert row[place] == ("yes" if option in accepted else "no"), (row, place)
        default = DEFAULTS_OF_JOB.get(option, getattr(pool, option, None))
        assert ast.literal_eval(code(row["Default"])) == default, row


@pytest.mark.parametrize(
    "row", rows(REFERENCE / "public-names.md", "Option"), ids=lambda row: code(row["Option"])
)
def test_default_of_an_option_of_job(row: Row) -> None:
    default = DEFAULTS_OF_JOB.get(code(row["Option"]))
    # None stands for these.
    if row["Default"] in ("the pool's", "`module.function`", '`"keep"`'):
        assert default is None
    else:
        assert ast.literal_eval(row["Default"].strip("`")) == default


def test_options_of_a_task() -> None:
    from pleme_redis_django.tasks_backend.task_options import OWN_OPTIONS

    said = (DOCS / "guides" / "django-tasks.md").read_text()
    paragraph = said.partition("Its options are ")[2].partition(". With Django")[0]
    assert sorted(re.findall(r"`(\w+)`", paragraph)) == sorted(OWN_OPTIONS)


def test_options_of_using() -> None:
    [using] = (
        row
        for row in rows(REFERENCE / "public-names.md", "Method")
        if code(row["Method"]).startswith("using")
    )
    documented = re.findall(r"`(\w+)`", using["Meaning"])
    assert documented == list(NAMES_OF_USING)


def test_signals_with_their_arguments() -> None:
    documented = {code(row["Signal"]): row for row in rows(REFERENCE / "signals.md", "Signal", "Sent")}
    described = _signals_in_code()
    assert documented.keys() == described.keys()
    for name, arguments in described.items():
        text = " ".join(documented[name].values())
        assert arguments <= set(re.findall(r"\w+", text)), name


def _signals_in_code() -> dict[str, set[str]]:
    """Return the signals of the module, each with the ``names`` in the text below it."""
    body = ast.parse(inspect.getsource(signals)).body
    found: dict[str, set[str]] = {}
    for node, after in itertools.pairwise(body):
        if isinstance(node, ast.Assign) and isinstance(after, ast.Expr):
            name = typing.cast(ast.Name, node.targets[0]).id
            text = ast.literal_eval(after.value)
            found[name] = {each.split("=")[0] for each in re.findall(r"``([\w=]+)``", text)}
    assert {name for name, value in vars(signals).items() if isinstance(value, Signal)} == found.keys()
    return found


def test_options_of_schedules() -> None:
    """The guide has the one table of what ``cron()`` and ``every()`` take beside their times."""
    documented = names(rows(DOCS / "guides" / "schedules.md", "Option"), "Option")
    for function in (cron, every):
        taken = inspect.signature(function).parameters.values()
        assert sorted(documented) == sorted(p.name for p in taken if p.kind is p.KEYWORD_ONLY), function


@pytest.mark.parametrize("choices", [CatchUp, Overlap])
def test_choices_of_schedules(choices: type[CatchUp] | type[Overlap]) -> None:
    """Each choice has its row in the guide."""
    column = "`catch_up`" if choices is CatchUp else "`overlap`"
    documented = {row[column] for row in rows(DOCS / "guides" / "schedules.md", column)}
    assert documented == {f'`"{choice}"`' for choice in choices}


def test_exceptions_with_their_bases() -> None:
    tree = {
        name: [base.__name__ for base in kind.__bases__]
        for name, kind in vars(exceptions).items()
        if isinstance(kind, type) and issubclass(kind, exceptions.PlemeError) and kind.__name__ == name
    }
    documented = rows(REFERENCE / "exceptions.md", "Exception", "Is a")
    bases = {code(row["Exception"]): re.findall(r"`(\w+)`", row["Is a"]) for row in documented}
    assert bases == tree


@pytest.mark.parametrize(
    "row", rows(REFERENCE / "exceptions.md", "Retried"), ids=lambda row: code(row["Exception"])
)
def test_executor_errors(row: Row) -> None:
    kind = getattr(exceptions, code(row["Exception"]))
    assert (row["Retried"] == "yes", code(row["`error_code`"])) == (kind.retryable, kind.error_code)


# Models


_MODELS = [
    "Job",
    "JobAttempt",
    "QueuePause",
    "FlowLimit",
    "FlowGate",
    "FullGate",
    "WorkerProcess",
    "Schedule",
    "ScheduleTick",
    "Election",
    "WorkerTally",
    "QueueRollup",
    "QueueSample",
]


@pytest.mark.parametrize("model", _MODELS)
def test_fields_of_a_model(model: str) -> None:
    documented = {code(row["Field"]): row["Type"] for row in _model_rows(model)}
    fields = {field.name: field for field in getattr(models, model)._meta.concrete_fields}
    assert documented.keys() == fields.keys()
    for name, kind in documented.items():
        assert kind.endswith("or NULL") == fields[name].null, name
        if length := re.search(r"text, (\d+)", kind):
            assert int(length[1]) == fields[name].max_length, name


def _model_rows(model: str) -> list[Row]:
    """Return the field table of one model: those of the page are in the order of its headings."""
    return tables(REFERENCE / "models.md", "Field")[_MODELS.index(model)]


def test_indexes_of_a_job_table() -> None:
    documented = names(rows(REFERENCE / "models.md", "Index"), "Index")
    in_code = [str(index.name).rpartition("_")[2] for index in models.Job._meta.indexes]
    assert documented == in_code


# Redis keys

# Functions of the module that build no key of their own.
_NO_KEYS = {
    "NamedTuple",
    "digest",
    "held_locks_pattern",
    "lock_digest_of",
    "lock_keys_by_digest",
    "presence_pattern",
    "typing_pattern",
    "validate_queue_name",
}


def test_redis_keys() -> None:
    documented: dict[str, list[str]] = {}
    for row in rows(REFERENCE / "redis-keys.md", "Function"):
        documented.setdefault(code(row["Function"]), []).append(code(row["Key"]))
    built = {
        name: _keys_of(function)
        for name, function in vars(keyspace).items()
        if inspect.isfunction(function) and name not in _NO_KEYS and not name.startswith("_")
    }
    assert {name: [_filled(key) for key in keys] for name, keys in documented.items()} == built


def _keys_of(function: Any) -> list[str]:
    """Return what a function builds when every argument is its own name."""
    result = function(*inspect.signature(function).parameters)
    return [result] if isinstance(result, str) else list(result)


def _filled(key: str) -> str:
    key = re.sub(r"<digest of (\w+)>", lambda found: keyspace.digest(found[1]), key)
    return re.sub(r"<(\w+)>", r"\1", key)


def test_types_and_lifetimes_of_redis_keys() -> None:
    """The type in the table is the word that opens the docstring of the function, or of the field."""
    source = Path(str(keyspace.__file__)).read_text(encoding="utf-8")
    for row in rows(REFERENCE / "redis-keys.md", "Function"):
        word = row["Type"] if row["Type"].isupper() else "Redis pub/sub channel"
        assert f'"""{word}' in source, row


def test_pools_section_is_where_other_pages_point() -> None:
    assert "pools" in anchors(REFERENCE / "settings.md")
