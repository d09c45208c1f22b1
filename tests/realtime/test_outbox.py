"""What waits to be sent to one socket, by itself: no server, no Redis."""

from __future__ import annotations

import asyncio
from typing import Any

from pleme_redis_django.realtime import frames
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.limits import ClientLimits
from pleme_redis_django.realtime.listening import Listening
from pleme_redis_django.realtime.loop_work import LoopWork
from pleme_redis_django.realtime.outbox import Outbox
from pleme_redis_django.testing import ManualClock


class Socket:
    """A server that takes what is sent, or lets it wait."""

    def __init__(self, **limits: int) -> None:
        self.sent: list[dict[str, Any]] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.clock = ManualClock()
        self.work = LoopWork(self.clock)
        self.listening = Listening()
        self.outbox = Outbox(self.send, ClientLimits(**limits), self.listening, self.work)

    async def send(self, message: dict[str, Any]) -> None:
        if not self.reads.is_set():
            await self.reads.wait()
        self.sent.append(message)

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.sent if "text" in message]


async def turn() -> None:
    """Let what the loop's present turn left to be done be done."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_what_is_queued_in_one_turn_is_one_frame() -> None:
    socket = Socket()
    for text in ("1", "2", "3"):
        socket.outbox.push(text)
    assert not socket.sent
    await turn()
    assert socket.texts == ["1\n2\n3"]


async def test_client_that_does_not_read_loses_pushes_and_is_told() -> None:
    socket = Socket(buffered_pushes=2)
    socket.listening.rooms["room:1"] = True
    socket.reads.clear()
    socket.outbox.push("first")
    await turn()
    assert socket.outbox.blocked_since == socket.clock()
    for number in range(5):
        socket.outbox.push(str(number))
    assert len(socket.outbox._queue) == 2
    socket.reads.set()
    await socket.work.settle()
    await turn()
    await turn()
    assert socket.outbox.blocked_since is None
    assert socket.texts == ["first", "0\n1", frames.presence_resync("room:1")]


async def test_reply_is_never_dropped() -> None:
    socket = Socket(buffered_pushes=1)
    socket.outbox.push("push")
    socket.outbox.queue("reply")
    await turn()
    assert socket.texts == ["push\nreply"]


async def test_unheard_client_is_pinged_and_then_sent_nothing() -> None:
    socket = Socket(unheard_characters=10)
    socket.outbox.push("x" * 11)
    await turn()
    assert socket.texts[0].split("\n") == ["x" * 11, frames.PING]
    socket.outbox.push("held")
    await turn()
    assert len(socket.sent) == 1
    socket.outbox.heard()
    await turn()
    assert socket.texts[1:] == ["held"]


async def test_closing_drops_what_waits_and_closes_once() -> None:
    socket = Socket()
    socket.outbox.push("late")
    socket.outbox.close(CloseCode.REVOKED, "revoked")
    socket.outbox.close(CloseCode.SLOW, "slow")
    await socket.work.settle()
    assert socket.outbox.is_closing
    assert socket.texts == [frames.bye(CloseCode.REVOKED, "revoked")]
    assert socket.sent[-1] == {"type": "websocket.close", "code": 4005, "reason": "revoked"}


async def test_send_that_fails_is_the_end() -> None:
    socket = Socket()

    async def broken(message: dict[str, Any]) -> None:
        raise OSError("gone")

    outbox = Outbox(broken, ClientLimits(), socket.listening, socket.work)
    outbox.push("x")
    await turn()
    assert outbox.is_gone
    assert outbox.is_closing
