"""Time that tests let pass for sockets."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.testing.realtime import close_realtime, let_time_pass


async def test_time_passes_for_the_sockets_of_a_loop() -> None:
    let_time_pass(0, product="acme")
    before = hub().clock()
    let_time_pass(3600, product="acme")
    assert hub().clock() - before >= 3600
    await close_realtime()


async def test_sockets_that_live_by_the_machines_time_are_named() -> None:
    foreign: Any = object()
    hub().connections["c1"] = foreign
    with pytest.raises(RuntimeError, match=r"1 open sockets .* machine's time"):
        let_time_pass(1, product="acme")
    hub().connections.clear()
    let_time_pass(1, product="acme")
    await close_realtime()
