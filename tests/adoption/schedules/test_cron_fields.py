"""Crontabs of Celery and parse-crontab become cron expressions that fire at the same times, or are refused."""

from __future__ import annotations

import pytest

from pleme_redis_django.adoption.schedules.cron_fields import cron_expression
from pleme_redis_django.adoption.schedules.entry import CannotExpress
from pleme_redis_django.jobs.definitions.cron_expression import checked_cron


@pytest.mark.parametrize(
    ("fields", "expression"),
    [
        ("* * * * *", "* * * * *"),
        ("*/15 8-17 * * 1-5", "*/15 8-17 * * 1-5"),
        ("0 22-2 * * *", "0 0-2,22-23 * * *"),
        ("0 3 * * mon,Friday", "0 3 * * 1,5"),
        ("0 3 * * sat-mon", "0 3 * * 0-1,6"),
        ("0 3 * * 5-7", "0 3 * * 0,5-6"),
        ("0 3 * * 0-7", "0 3 * * *"),
        ("0 3 * * 0-6", "0 3 * * *"),
        ("0 3 1-31 * mon", "0 3 * * 1"),
        ("0 3 */2 * *", "0 3 */2 * *"),
        ("0 3 2-30/14 jan-december/6 *", "0 3 2,16,30 1,7 *"),
        ("0 3 ? * 1", "0 3 * * 1"),
        ("*/1 */1 * * *", "* * * * *"),
        ("50/3 3 * * *", "50,53,56,59 3 * * *"),
    ],
)
def test_expression_says_the_same(fields: str, expression: str) -> None:
    assert cron_expression(fields.split()) == expression
    assert checked_cron(expression) == expression


def test_spaces_in_a_field_are_no_part_of_it() -> None:
    assert cron_expression(["0, 30", "3", "*", "*", "*"]) == "0,30 3 * * *"


@pytest.mark.parametrize("fields", ["0 3 1-7 * mon", "0 3 */2 * mon", "0 3 1 * */2"])
def test_days_of_both_kinds_are_refused_by_name(fields: str) -> None:
    with pytest.raises(CannotExpress, match=r"day of the month .* day of the week .* cron fires on either"):
        cron_expression(fields.split())


@pytest.mark.parametrize(
    "fields",
    [
        "60 3 * * *",
        "0 24 * * *",
        "0 3 0 * *",
        "0 3 32 * *",
        "0 3 * 13 *",
        "0 3 * * 8",
        "0 3 * * L5",
        "0 3 l * *",
        "*/0 3 * * *",
        "-1 3 * * *",
        ",1 3 * * *",
        "1- 3 * * *",
        "*-5 3 * * *",
        "mon 3 * * *",
        f"{'1,' * 200}1 3 * * *",
        "1/99999 3 * * *",
    ],
)
def test_what_cannot_be_read_is_refused_with_its_field(fields: str) -> None:
    with pytest.raises(
        CannotExpress, match=r"its (minute|hour|day of the month|month|day of the week) .* cannot"
    ):
        cron_expression(fields.split())
