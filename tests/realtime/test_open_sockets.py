"""How many sockets may be open that have not said who they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.testing.realtime.client import open_socket
from tests.realtime.conftest import Person
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

Configure = Callable[..., None]


async def test_sockets_that_never_say_connect_are_bounded(ana: Person, configure: Configure) -> None:
    configure(REALTIME_LIMITS={"connections_per_user": 2})
    async with open_socket(ana) as one, open_socket(ana) as two:
        await await_until(lambda: len(hub().connections) == 2)
        async with open_socket(ana) as three:
            assert await three.client.wait_closed() == CloseCode.OVERLOAD
        await one.client.connect()
        await two.client.connect()
