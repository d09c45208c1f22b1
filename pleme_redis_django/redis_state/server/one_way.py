"""OneWay: a request to Redis whose answer nobody waits for. It is read before its connection is used again.

For what may be lost. An error shows at the next request, which then goes out in the usual way, after the one that
may not have arrived.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import select
import socket
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

import redis
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as AnswerIsLate

from pleme_redis_django.interruption import uninterrupted
from pleme_redis_django.redis_state.server.outages import OUTAGES
from pleme_redis_django.redis_state.server.unavailable import unavailable

_LONGEST_NUMBER = 64


class UsualCall(Protocol):
    """What there is to send: a RedisCall, which also goes out in the usual way."""

    @property
    def command(self) -> tuple[Any, ...]: ...
    def client(self) -> redis.Redis: ...
    def run(self) -> object: ...


@dataclasses.dataclass(slots=True, kw_only=True)
class _Line:
    """A connection that is kept out of its client's pool, since an answer is still to come on it."""

    client: redis.Redis
    connection: Any
    unanswered: UsualCall | None = None

    def read_answer(self) -> None:
        """Read the answer to the last request, 0.25 s later at most. Raises redis.RedisError or OSError."""
        plain = _plain_socket_of(self.connection)
        if self.unanswered is not None:
            if plain is None:
                self.connection.read_response()
            else:
                _read_number(plain)
            self.unanswered = None
        # A server that has closed an idle connection would take the next request without a word.
        if self.connection.can_read() if plain is None else _has_something(plain):
            raise ConnectionLost("The server said something that it was not asked.")

    def send(self, packed: bytes, call: UsualCall) -> None:
        self.connection.send_packed_command([packed], check_health=False)
        self.unanswered = call

    def close(self) -> None:
        self.connection.disconnect()
        self.client.connection_pool.release(self.connection)


def _plain_socket_of(connection: Any) -> socket.socket | None:
    """Return the socket of a connection that is not encrypted; redis-py takes 40 calls to read a number from it."""
    found = getattr(connection, "_sock", None)
    return found if type(found) is socket.socket and hasattr(select, "poll") else None


def _read_number(plain: socket.socket) -> None:
    """Read the answer of a request that is answered with a number. Raises redis.RedisError or OSError for any other."""
    try:
        answer = plain.recv(_LONGEST_NUMBER)
    except TimeoutError as error:
        raise AnswerIsLate("Timeout reading from socket") from error
    if not (answer.startswith(b":") and answer.endswith(b"\r\n") and answer[1:-2].isdigit()):
        # Part of one, or an error: the same request says it in words, in the usual way.
        raise ConnectionLost("The server did not answer with a number.")


def _has_something(plain: socket.socket) -> bool:
    """Whether there is something to read, or the end."""
    poll = select.poll()
    poll.register(plain, select.POLLIN)
    return bool(poll.poll(0))


# One for each thread that sends at the same time.
_free_lines: deque[_Line] = deque()
# A child shares the parent's sockets, whose answers are not its own.
os.register_at_fork(after_in_child=_free_lines.clear)


class OneWay(NamedTuple):
    """A request that is sent without waiting for its answer."""

    call: UsualCall
    own_words: int
    """How many words at the end of the command are of this request alone: the others are packed once."""

    @uninterrupted
    def run(self) -> bool:
        """Send it, and return True. Raises RedisUnavailable if Redis is away, or was at the last request."""
        client = self.call.client()
        line = _line_of(client)
        if line is None:
            self._run_first(client)
            return True
        try:
            line.read_answer()
            line.send(self._packed(), self.call)
        except AnswerIsLate as error:
            # No second wait: a Redis that hangs is to cost its callers one timeout.
            line.close()
            raise unavailable(error) from error
        except (redis.RedisError, OSError):
            line.close()
            self._run_again(line.unanswered)
        except BaseException:
            line.close()
            raise
        else:
            _free_lines.append(line)
        return True

    def _packed(self) -> bytes:
        """Return the command in the protocol's form; redis-py takes longer for it than the server does."""
        words, shared = self.call.command, len(self.call.command) - self.own_words
        return b"*%d\r\n%b%b" % (
            len(words),
            _packed_words(words[:shared]),
            b"".join(map(_packed_word, words[shared:])),
        )

    def _run_first(self, client: redis.Redis) -> None:
        """Wait for the answer, which shows that all is well, and keep a connection for the next request."""
        self.call.run()
        with suppress(*OUTAGES):
            connection = client.connection_pool.get_connection()
            _free_lines.append(_Line(client=client, connection=connection))

    def _run_again(self, before: UsualCall | None) -> None:
        """Wait for the answers: to the request before, of which nothing is known, and to this one."""
        if before is not None:
            before.run()
        self.call.run()


def _line_of(client: redis.Redis) -> _Line | None:
    """Take a free line of the client; those of a client before a change of the settings are closed."""
    with suppress(IndexError):
        while (line := _free_lines.pop()).client is not client:
            line.close()
        return line
    return None


@functools.lru_cache(maxsize=1_024)
def _packed_words(words: tuple[Any, ...]) -> bytes:
    return b"".join(map(_packed_word, words))


def _packed_word(word: str | bytes | int) -> bytes:
    text = word if isinstance(word, bytes) else str(word).encode()
    return b"$%d\r\n%b\r\n" % (len(text), text)
