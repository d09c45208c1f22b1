"""Frames that are made to cost the server more than they cost their sender."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pleme_redis_django.jobs.interface.json_text import is_nested_too_deeply
from pleme_redis_django.realtime import frames
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.testing.realtime import connected_client
from pleme_redis_django.testing.realtime.client import open_socket
from tests.realtime.conftest import Person
from tests.waiting import await_until

# With a scan that begins anew at each quote, the first of these takes minutes.
GENEROUS_SECONDS = 5.0
CHARACTERS = 300_000


@pytest.mark.parametrize(
    "unit", ['\\"', '"\\', '"', "\\", '\\\\"', '"[', '"\\\n', "[", '""', 'a"\\u0022', '{"a":["\\\\"']
)
@pytest.mark.parametrize("opening", ['"', "", "[" * 101 + '"'])
def test_nesting_is_told_in_time_that_grows_with_the_length(opening: str, unit: str) -> None:
    text = "[" * 101 + opening + unit * (CHARACTERS // len(unit))
    began = time.process_time()
    is_nested_too_deeply(text)
    assert time.process_time() - began < GENEROUS_SECONDS


def test_brackets_in_texts_are_no_nesting() -> None:
    assert not is_nested_too_deeply('["' + "[" * 200 + '\\"' + "{" * 200 + '"]')
    assert is_nested_too_deeply('["\\\\",' + "[" * 100 + "]" * 100 + "]")


async def test_empty_objects_are_not_free(ana: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    parse_line = frames.parse_line

    def counting(line: str, **options: Any) -> Any:
        parsed.append(line)
        return parse_line(line, **options)

    async with open_socket(ana) as socket:
        await socket.client.connect()
        monkeypatch.setattr(frames, "parse_line", counting)
        await socket.client.send_text("{}\n" * 20_000)
        assert await socket.client.wait_closed() == CloseCode.OVER_QUOTA
        errors = [push["error"]["code"] for push in socket.client.pushes if "error" in push]
        assert set(errors) == {ErrorCode.RATE}
    assert len(parsed) < 200


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("sub", {"ch": "order:*", "since": ["x", True]}),
        ("history", {"ch": "order:*", "since": ["x", True]}),
        ("history", {"ch": "order:*", "since": ["x" * 33, 1]}),
        ("sub", {"ch": "order:*", "since": ["x", 1e300]}),
        ("sub", {"ch": "order:*", "since": ["x", 2**70]}),
        ("pres", {"ch": "room:1", "cursor": "0" * 20 + "1" + "9" * 200}),
        ("pres", {"ch": "room:1", "cursor": "9" * 30}),
        ("pres", {"ch": "room:1", "cursor": "\N{ARABIC-INDIC DIGIT ONE}"}),
    ],
)
async def test_bad_positions_and_cursors_are_bad_requests(ana: Person, name: str, fields: Any) -> None:
    async with connected_client(ana) as client:
        await client.send_text(frames.encode({"id": 99, name: fields}))
        await await_until(lambda: 99 in client._replies)
        assert client._replies.pop(99)["error"]["code"] == ErrorCode.BAD_REQUEST
