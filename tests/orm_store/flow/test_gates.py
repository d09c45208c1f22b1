"""Gates: their texts, from which they are read again."""

from __future__ import annotations

import pytest

from pleme_redis_django.models import LimitKind
from pleme_redis_django.orm_store.flow.gates import (
    TOKEN_PREFIX,
    Gate,
    gate_of,
    is_line,
    line_of,
    waits_for_token,
)

GATES = {
    "k:lilith:customer:42": Gate(LimitKind.KEY, "lilith", "customer:42"),
    "k::stripe": Gate(LimitKind.KEY, "", "stripe"),
    "t:lilith:shop.jobs.pay": Gate(LimitKind.TYPE, "lilith", "shop.jobs.pay"),
    "q:lilith:mail": Gate(LimitKind.QUEUE, "lilith", "mail"),
    "p:lilith": Gate(LimitKind.PRODUCT, "lilith", "lilith"),
}


@pytest.mark.parametrize(("text", "gate"), GATES.items())
def test_a_gate_is_read_from_its_text(text: str, gate: Gate) -> None:
    assert gate.text == text
    assert gate_of(text) == gate
    assert gate_of(TOKEN_PREFIX + text) == gate
    assert waits_for_token(TOKEN_PREFIX + text) and not waits_for_token(text)


def test_a_line_is_no_gate() -> None:
    line = line_of("lilith", "order:42")
    assert is_line(line) and gate_of(line) is None
    assert gate_of("") is None and gate_of("nothing known") is None


def test_the_limit_of_a_key_is_named_by_what_stands_before_its_colon() -> None:
    names = {gate.limit_name for gate in GATES.values()}
    assert names == {"customer", "stripe", "shop.jobs.pay", "mail", "lilith"}
