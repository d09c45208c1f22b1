"""Loads the Lua scripts of ``lua/`` and runs them: EVALSHA, and EVAL where the server lost them.

A script's file opens with a header that names its KEYS, its ARGV and what it returns. All keys of
one call share a hash tag, so that the call works on a Cluster. What several scripts need is a file of
``lua/include/``, and a line ``-- include: name`` stands for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib import resources
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import NoScriptError

from pleme_redis_django.redis_state.outages import OUTAGES, unavailable

Argument = str | bytes | int | float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One Lua script; ``run`` and ``arun`` cost one round trip (two when the server lost it)."""

    name: str
    source: str
    sha: str

    def run(self, client: redis.Redis, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """Return the script's reply, bytes undecoded.

        Raises RedisUnavailable when Redis is away; a script's own error stays a ResponseError.
        """
        # redis-py declares no types for execute_command; the typed evalsha() adds a layer and nothing else.
        execute: Callable[..., Any] = client.execute_command
        try:
            try:
                return execute("EVALSHA", self.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return execute("EVAL", self.source, len(keys), *keys, *arguments)
        except OUTAGES as error:
            raise unavailable(error) from error

    async def arun(
        self, client: redis.asyncio.Redis, keys: Sequence[str], arguments: Sequence[Argument] = ()
    ) -> Any:
        """Do what ``run`` does, on an async client."""
        execute: Callable[..., Awaitable[Any]] = client.execute_command
        try:
            try:
                return await execute("EVALSHA", self.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return await execute("EVAL", self.source, len(keys), *keys, *arguments)
        except OUTAGES as error:
            raise unavailable(error) from error

    def queue(self, pipeline: Any, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> None:
        """Add a call to a pipeline, sync or async; where the server lost the script, its reply is an error."""
        pipeline.execute_command("EVALSHA", self.sha, len(keys), *keys, *arguments)


def with_source(command: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the EVAL of an EVALSHA, for a server that lost the script."""
    _, sha, *rest = command
    return ("EVAL", _sources[sha], *rest)


_sources: dict[str, str] = {}


@cache
def script(name: str) -> Script:
    """Return the script of ``lua/<name>.lua``, read once in a process.

    Raises FileNotFoundError when there is none.
    """
    source = _text_of(name)
    # EVALSHA names a script by the SHA-1 of its text; nothing is authenticated by it.
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    _sources[sha] = source
    return Script(name=name, source=source, sha=sha)


def _text_of(path: str) -> str:
    text = resources.files(__package__).joinpath("lua", f"{path}.lua").read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda line: _text_of(f"include/{line[1]}"), text)


_INCLUDE = re.compile(r"^-- include: (\w+)\n", re.MULTILINE)
