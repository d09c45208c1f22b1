"""Loads the Lua scripts of ``lua/``. RedisCall sends them by EVALSHA, or by EVAL if the server has lost them.

A script's file opens with a header that names its KEYS, its ARGV and what it returns. All keys of
one call share a hash tag, so that the call works on a Cluster. Code that several scripts need is a file in
``lua/include/``; the line ``-- include: name`` includes it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from functools import cache
from importlib import resources
from typing import Any

Argument = str | bytes | int | float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One Lua script; the server knows it by the SHA-1 of its text."""

    name: str
    source: str
    sha: str


def with_source(command: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the EVAL for an EVALSHA, for a server that has lost the script."""
    _, sha, *rest = command
    return ("EVAL", _sources[sha], *rest)


_sources: dict[str, str] = {}


@cache
def script(name: str) -> Script:
    """Return the script of ``lua/<name>.lua``, read once in a process.

    Raises FileNotFoundError if there is none.
    """
    source = _text_of(name)
    # EVALSHA names a script by the SHA-1 of its text; nothing is authenticated by it.
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    _sources[sha] = source
    return Script(name=name, source=source, sha=sha)


def _text_of(path: str) -> str:
    file = resources.files("pleme_redis_django.redis_state").joinpath("lua", f"{path}.lua")
    text = file.read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda line: _text_of(f"include/{line[1]}"), text)


_INCLUDE = re.compile(r"^-- include: (\w+)\n", re.MULTILINE)
