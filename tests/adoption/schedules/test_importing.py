"""Entries become rows once, checked as the admin checks them, and typed as an enqueue stores them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from pleme_redis_django.adoption.schedules.entry import CannotExpress, Entry, ForeignSchedule
from pleme_redis_django.jobs.definitions.schedule_values import CatchUp
from pleme_redis_django.jobs.definitions.timing import Timing
from pleme_redis_django.models import Schedule
from pleme_redis_django.schedules.reading import read_schedule
from tests.adoption.schedules.conftest import ImportEntries

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])
ORDER = UUID("6a3c1b1e-0000-4000-8000-000000000001")


def entry(name: str = "nightly", **fields: Any) -> Entry:
    given: dict[str, Any] = {
        "path": "tests.imports.report",
        "args": ["berlin"],
        "kwargs": {},
        "timing": Timing(cron="0 3 * * *"),
        "catch_up": CatchUp.ONE,
    }
    return Entry(name=name, read=lambda: ForeignSchedule(**given | fields))


def rows(using: str) -> list[dict[str, Any]]:
    return list(Schedule._base_manager.using(using).order_by("id").values())


def test_second_run_changes_nothing(using: str, run: ImportEntries) -> None:
    entries = [entry("a"), entry("b", pause_reason="off"), entry("c", path="nowhere")]
    first = run(entries)
    before = rows(using)
    second = run(entries)
    assert ([each.name for each in first.imported], first.there) == (["a", "b"], [])
    assert (second.imported, second.there, second.refused) == ([], ["a", "b"], first.refused)
    assert rows(using) == before


def test_name_that_is_there_is_left_as_it_is(using: str, run: ImportEntries) -> None:
    Schedule._base_manager.using(using).create(
        product="shop", name="nightly", source="code", job_type="tests.imports.noop", interval_seconds=5
    )
    before = rows(using)
    assert run([entry("nightly")]).there == ["nightly"]
    assert rows(using) == before


def test_same_name_in_another_product_is_another_schedule(using: str, run: ImportEntries) -> None:
    Schedule._base_manager.using(using).create(
        product="other", name="nightly", job_type="tests.imports.noop", interval_seconds=5
    )
    assert len(run([entry("nightly")]).imported) == 1


def test_dry_run_says_the_same_and_stores_nothing(using: str, run: ImportEntries) -> None:
    entries = [entry("a"), entry("b", path="nowhere"), entry("c", timing=Timing(cron="61 * * * *"))]
    dry = run(entries, dry_run=True)
    assert rows(using) == []
    real = run(entries)
    assert (dry.imported, dry.refused) == (real.imported, real.refused)


def test_two_entries_of_one_name_are_one_schedule(using: str, run: ImportEntries) -> None:
    for dry_run in (True, False):
        imports = run([entry("a"), entry("a")], dry_run=dry_run)
        assert ([each.name for each in imports.imported], imports.there) == (["a"], ["a"])
    assert len(rows(using)) == 1


def test_another_run_that_was_first_is_found_by_the_database(using: str, run: ImportEntries) -> None:
    def read() -> ForeignSchedule:
        run([entry("a", kwargs={"pages": 7})])
        return entry("a").read()

    imports = run([Entry(name="a", read=read), entry("b")])
    assert (imports.there, [each.name for each in imports.imported]) == (["a"], ["b"])
    assert [row["parameters"].get("pages") for row in rows(using)] == [7, None]


def test_old_name_is_mapped_to_the_job(using: str, run: ImportEntries) -> None:
    imports = run(
        [entry("a", path="shop.tasks.report")], renamed={"shop.tasks.report": "tests.imports.report"}
    )
    assert imports.paths == {"shop.tasks.report"}
    assert rows(using)[0]["job_type"] == "tests.imports.report"


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ([str(ORDER), "1.50"], {}),
        ([], {"order": str(ORDER), "amount": "1.50"}),
        ([ORDER], {"amount": Decimal("1.50")}),
    ],
)
def test_texts_and_values_are_stored_as_the_annotation_says(
    using: str, run: ImportEntries, args: list[Any], kwargs: dict[str, Any]
) -> None:
    assert run([entry(path="tests.imports.charge", args=args, kwargs=kwargs)]).refused == []
    row = Schedule._base_manager.using(using).get()
    assert row.parameters == {"order": str(ORDER), "amount": "1.50"}
    decoded = read_schedule(row).definition.decoded_parameters(row.parameters)
    assert decoded == {"order": ORDER, "amount": Decimal("1.50")}


def test_parameters_that_the_annotation_refuses_are_said(run: ImportEntries) -> None:
    ((_name, said),) = run([entry(path="tests.imports.charge", args=["no uuid", "1"])]).refused
    assert "order" in said
    assert "Correct its arguments there" in said


def test_reading_that_fails_keeps_back_no_other(using: str, run: ImportEntries) -> None:
    def read() -> ForeignSchedule:
        raise CannotExpress("it goes by the moon. Look up")

    imports = run([Entry(name="moon", read=read), entry("a")])
    assert imports.refused == [("moon", "it goes by the moon. Look up")]
    assert [row["name"] for row in rows(using)] == ["a"]


def test_run_that_was_cut_off_goes_on(using: str, run: ImportEntries) -> None:
    def read() -> ForeignSchedule:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([entry("a"), Entry(name="b", read=read), entry("c")])
    imports = run([entry("a"), entry("b"), entry("c")])
    assert (imports.there, [each.name for each in imports.imported]) == (["a"], ["b", "c"])
