"""Frames as clients send them: what is wrong is refused, and says where."""

from __future__ import annotations

import pytest

from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.testing.realtime import (
    connected_client,
)
from tests.realtime.conftest import Person
from tests.waiting import await_until


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "object"),
        ("7", "object"),
        ('{"id":1,"sub":{"ch":"x"},"pub":{}}', "one command"),
        ('{"id":1,"nonsense":{}}', "unknown command 'nonsense'"),
        ('{"id":1,"refresh":{}}', "reserved"),
        ('{"id":1}', "no command"),
        ('{"id":-1,"sub":{}}', "id"),
        ('{"id":true,"sub":{}}', "id"),
        ('{"id":1e400,"sub":{}}', "id"),
        ('{"id":1,"sub":[]}', "sub: accepted is an object"),
        ('{"id":1,"sub":{}}', "sub.ch is missing"),
        ('{"id":1,"sub":{"ch":7}}', "sub.ch: accepted"),
        ('{"id":1,"sub":{"ch":"order:*","since":7}}', "sub.since"),
        ('{"id":1,"sub":{"ch":"order:*","since":[1,2]}}', "not a position"),
        ('{"id":1,"sub":{"ch":"*"}}', "not a valid channel pattern"),
        ('{"id":1,"sub":{"ch":"a\\nb"}}', "not a valid channel pattern"),
        ('{"id":1,"sub":{"ch":"' + "x" * 10_000 + '"}}', "not a valid channel pattern"),
        ('{"id":1,"sub":{"ch":"pl:{acme}"}}', "not a valid channel pattern"),
        ('{"id":1,"pub":{"ch":"order:*","d":1}}', "not a valid channel name"),
        ('{"id":1,"pub":{"ch":"order:1"}}', "pub.d is missing"),
        ('{"id":1,"pub":{"ch":"order:1","d":NaN}}', "not JSON"),
        ('{"id":1,"pub":{"ch":"order:1","d":' + "9" * 5000 + "}}", "not JSON"),
        ('{"id":1,"pub":{"ch":"order:1","d":' + "[" * 99 + "]" * 99 + "}}", "nested too deeply"),
        ('{"id":1,"pub":{"ch":"order:1","d":' + "[" * 30_000 + "]" * 30_000 + "}}", "nested too deeply"),
        ('{"id":1,"pub":{"ch":"order:1","d":"\\ud800"}}', "cannot be written"),
        ('{"id":1,"pres":{"ch":"room:1","meta":[]}}', "pres.meta"),
        ('{"id":1,"pres":{"ch":"room:1","meta":{"x":"' + "y" * 2000 + '"}}}', "1,024"),
        ('{"id":1,"pres":{"ch":"@other"}}', "not a valid channel name"),
        ('{"id":1,"typing":{"ch":"conv:7","on":1}}', "typing.on"),
        ('{"id":1,"history":{"ch":"order:*","limit":0}}', "history.limit"),
    ],
)
async def test_bad_frame_gets_an_error_that_says_where(ana: Person, text: str, why: str) -> None:
    async with connected_client(ana) as client:
        await client.send_text(text)
        await await_until(lambda: client._replies or client.pushes)
        answer = client._replies.pop(1, None) or client.pushes.popleft()
        assert answer["error"]["code"] == ErrorCode.BAD_REQUEST
        assert why in answer["error"]["msg"]
        await client.subscribe("order:*")


async def test_unknown_fields_are_ignored(ana: Person) -> None:
    async with connected_client(ana) as client:
        await client.command("sub", ch="order:*", of_the_future=1)
