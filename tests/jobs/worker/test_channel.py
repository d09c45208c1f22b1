"""Channel: whole messages, in order, however they come; and every way in which the other side can be gone."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from pleme_redis_django.jobs.worker.channel import BadMessage, Channel, ChannelClosed

MAX_BYTES = 1_000_000


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    """One end as a channel, and the other as the socket that it is."""
    one, other = socket.socketpair()
    yield Channel(one, max_bytes=MAX_BYTES), other
    one.close()
    other.close()


Ends = tuple[Channel, socket.socket]


def test_messages_come_whole_and_in_order(ends: Ends) -> None:
    channel, other = ends
    lines = [json.dumps({"number": number}).encode() + b"\n" for number in range(3)]
    other.sendall(b"".join(lines)[:-5])
    assert [channel.receive(0), channel.receive(0), channel.receive(0)] == [
        {"number": 0},
        {"number": 1},
        None,
    ]
    other.sendall(lines[2][-5:])
    assert channel.receive(0) == {"number": 2}


def test_a_message_of_many_parts_is_one(ends: Ends) -> None:
    channel, other = ends
    text = "\N{SNOWMAN}" * 300_000
    sender = threading.Thread(target=lambda: Channel(other, max_bytes=MAX_BYTES).send({"text": text}))
    sender.start()
    assert channel.receive(60) == {"text": text}
    sender.join()


def test_messages_of_several_threads_are_not_mixed(ends: Ends) -> None:
    channel, other = ends
    sending = Channel(other, max_bytes=MAX_BYTES)
    threads = [
        threading.Thread(target=lambda letter=letter: sending.send({"text": letter * 400_000}))
        for letter in "abc"
    ]
    for thread in threads:
        thread.start()
    received = [channel.receive(60) for _ in threads]
    assert sorted(message["text"][0] for message in received if message) == ["a", "b", "c"]
    assert all(message and set(message["text"]) == {message["text"][0]} for message in received)
    for thread in threads:
        thread.join()


def test_nothing_in_time_is_none(ends: Ends) -> None:
    channel, _other = ends
    assert channel.receive(0) is None


def test_a_message_that_never_ends_is_refused_at_the_limit(ends: Ends) -> None:
    channel, other = ends
    other.settimeout(60)

    def send_on() -> None:
        with pytest.raises(OSError):
            while True:
                other.sendall(b"x" * 100_000)

    sender = threading.Thread(target=send_on)
    sender.start()
    with pytest.raises(BadMessage, match="a message of more than 1,000,000 bytes"):
        channel.receive(60)
    channel.close()
    sender.join()


@pytest.mark.parametrize("line", [b"not json", b"5", b"[]", b"\xff", b"[" * 100_000, b""])
def test_a_line_that_is_not_a_message_is_refused_and_the_next_one_read(ends: Ends, line: bytes) -> None:
    channel, other = ends
    other.sendall(line + b"\n" + b'{"after": 1}\n')
    with pytest.raises(BadMessage) as refused:
        channel.receive(60)
    assert len(str(refused.value)) < 400
    assert channel.receive(60) == {"after": 1}


def test_the_end_of_the_other_side_shows_after_what_it_sent(ends: Ends) -> None:
    channel, other = ends
    other.sendall(b'{"last": 1}\nhalf')
    other.close()
    assert channel.receive(0) == {"last": 1}
    with pytest.raises(ChannelClosed, match="it was closed"):
        channel.receive(0)
    with pytest.raises(ChannelClosed):
        channel.send({"too": "late"})


def test_an_end_that_was_closed_here_is_closed(ends: Ends) -> None:
    channel, other = ends
    channel.close()
    assert other.recv(1) == b""
    with pytest.raises(ChannelClosed):
        channel.send({"a": 1})
