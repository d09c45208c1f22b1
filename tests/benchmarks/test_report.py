"""The table of a benchmark run: medians over rounds, spread, and targets that are met or missed."""

from __future__ import annotations

import pytest

from tests.benchmarks.report import Row, number, render, summarise


def test_rounds_of_one_name_become_one_line_with_median_and_spread() -> None:
    rows = [Row(name="drain", value=value, unit="1/s") for value in (12_000, 9_000, 10_000)]
    [line] = summarise(rows)
    assert (line["median"], line["minimum"], line["maximum"], line["rounds"]) == (10_000, 9_000, 12_000, 3)


@pytest.mark.parametrize(("at_least", "met"), [(True, False), (False, True)])
def test_target_is_a_lower_limit_of_rates_and_an_upper_limit_of_times(at_least: bool, met: bool) -> None:
    [line] = summarise([Row(name="n", value=4, unit="ms", target=5, at_least=at_least)])
    assert line["meets_target"] is met


def test_table_is_aligned_and_names_missed_targets() -> None:
    lines = summarise(
        [Row(name="drain", value=9_000, unit="1/s", target=10_000), Row(name="x", value=0.5, unit="ms")]
    )
    table = render({"machine": "here"}, lines).splitlines()
    assert table[0] == "machine      here"
    assert "10,000 MISSED" in table[4]
    assert table[2].index("unit") == table[4].index("1/s") == table[5].index("ms")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (12_345.6, "12,346"), (3.14159, "3.14"), (0.00123, "0.00123")]
)
def test_numbers_keep_three_significant_digits(value: float, text: str) -> None:
    assert number(value) == text
