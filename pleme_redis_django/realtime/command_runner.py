"""Runs the commands of one socket, one after the other, while the socket continues to be read.

A command may wait: for Redis, for a rule, for a client that has not read its last reply. If the reader ran it, it
could not read the answer to a ping meanwhile, and a healthy client would look dead.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Set
from typing import Generic, Protocol, TypeVar

from pleme_redis_django.exceptions import InvalidEvent, InvalidName, RedisUnavailable
from pleme_redis_django.realtime import frames
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.connection import Connection
from pleme_redis_django.realtime.frames import ClientCommand, CommandRefused, ErrorCode
from pleme_redis_django.realtime.loop_work import LoopWork
from pleme_redis_django.realtime.quotas import UserQuotas

LINES_PER_TURN = 16
"""Lines that are refused, without a wait, before the other sockets get their turn."""
FRAMES_WAITING = 4
"""How many frames of full size may wait to be run; beyond it, nothing more is read from the client."""

logger = logging.getLogger("pleme_redis_django.consumers")


class RunnersHub(Protocol):
    """What the runner itself uses of the hub that commands run in."""

    quotas: UserQuotas
    work: LoopWork


H = TypeVar("H", bound=RunnersHub)

Run = Callable[[H, Connection, ClientCommand], Awaitable[str]]
"""Runs one command of a socket; returns the body of the reply."""


class CommandRunner(Generic[H]):
    """Takes frames from a consumer. Its task and its queue exist while there is something to run."""

    __slots__ = (
        "_characters",
        "_connection",
        "_hub",
        "_names",
        "_outbox",
        "_run",
        "_strict",
        "_task",
        "_waiting",
    )

    def __init__(
        self,
        connection: Connection,
        hub: H,
        run: Run[H],
        names: Set[str],
        *,
        strict: bool,
    ) -> None:
        self._connection = connection
        self._outbox = connection.outbox
        self._hub = hub
        self._run = run
        self._names = names
        self._strict = strict
        self._waiting: deque[str] | None = None
        self._characters = 0
        self._task: asyncio.Task[None] | None = None

    async def take(self, text: str) -> None:
        """Run the commands of a frame after those of the frames before it."""
        outbox = self._outbox
        was_pinged = outbox.pulse.pinged_at is not None
        outbox.heard()
        if text == frames.PING and was_pinged:
            return
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(text)
        self._characters += len(text)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run_frames())
        most = FRAMES_WAITING * self._connection.limits.frame_bytes
        while self._characters > most and not outbox.is_closing:
            await self._hub.work.next_tick()

    async def finish(self) -> None:
        """Wait for the command that is running; a closing socket runs no other."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def stop(self) -> None:
        """End at once, also in the middle of a command."""
        if self._task is not None:
            self._task.cancel()
            await self.finish()

    def refuse(self, command_id: int | None, code: ErrorCode, message: str) -> None:
        """Answer what is not run; a client that keeps sending it is closed."""
        if self._connection.quota.refusals.take():
            self._outbox.queue(frames.error(command_id, code, message))
        else:
            self._outbox.close(CloseCode.OVER_QUOTA, "too many refused frames")

    async def _run_frames(self) -> None:
        self._connection.is_busy = True
        try:
            while self._waiting:
                text = self._waiting.popleft()
                self._characters -= len(text)
                if "\n" in text:
                    await self._run_lines(text)
                elif not self._outbox.is_closing:
                    await self._run_line(text)
            # An empty deque takes 760 bytes, and most sockets are silent most of the time.
            self._waiting = None
        finally:
            self._task = None
            self._connection.is_busy = False

    async def _run_lines(self, text: str) -> None:
        for number, line in enumerate(text.split("\n"), start=1):
            if self._outbox.is_closing:
                return
            await self._run_line(line)
            if number % LINES_PER_TURN == 0:
                await asyncio.sleep(0)

    async def _run_line(self, line: str) -> None:
        # The token is taken before the line is parsed: without a token, it is parsed only for the id of the
        # answer, and only as often as frames may be refused.
        is_affordable = self._hub.quotas.take(self._connection)
        try:
            command = frames.parse_line(line, strict=self._strict)
        except CommandRefused as refused:
            command_id = getattr(refused, "command_id", None)
            if is_affordable:
                self.refuse(command_id, refused.code, str(refused))
            else:
                self.refuse(command_id, ErrorCode.RATE, "too many commands")
            return
        if not is_affordable:
            self.refuse(None if command is None else command.id, ErrorCode.RATE, "too many commands")
        elif command is not None:
            await self._answer(command)
            while self._outbox.is_backed_up:
                await self._hub.work.next_tick()

    async def _answer(self, command: ClientCommand) -> None:
        try:
            self._check(command)
            body = await self._run(self._hub, self._connection, command)
        except CommandRefused as refused:
            self._answer_error(command, refused.code, str(refused))
        except (InvalidName, InvalidEvent) as error:
            self._answer_error(command, ErrorCode.BAD_REQUEST, str(error))
        except RedisUnavailable as error:
            logger.warning("A command failed: %s", error)
            self._answer_error(command, ErrorCode.INTERNAL, "the service is not available")
        except Exception:
            # A fault must not end the socket, and its text is not for clients.
            logger.exception("The command %r failed.", command.name)
            self._answer_error(command, ErrorCode.INTERNAL, "internal error")
        else:
            if command.id is not None:
                self._outbox.queue(frames.reply(command.id, command.name, body))

    def _check(self, command: ClientCommand) -> None:
        if command.name not in self._names:
            raise CommandRefused(ErrorCode.BAD_REQUEST, f"this endpoint has no command {command.name!r}")
        if not self._connection.is_registered and command.name != "connect":
            raise CommandRefused(ErrorCode.UNAUTHORIZED, "the first command is connect")

    def _answer_error(self, command: ClientCommand, code: ErrorCode, message: str) -> None:
        if command.id is not None:
            self._outbox.queue(frames.error(command.id, code, message))
