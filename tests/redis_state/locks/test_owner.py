"""Who holds a lock, as it is written beside the token and read again."""

from __future__ import annotations

import os
import socket

import pytest

from pleme_redis_django.redis_state.locks.owner import LockOwner, decode_owner, encode_owner


@pytest.mark.parametrize("name", ["stock:1", 'a "quoted" \\ name', "ü\u202e", "\n", '","j":"forged'])
def test_what_is_written_is_read_again(name: str) -> None:
    owner = LockOwner(name=name, host=socket.gethostname(), pid=os.getpid())
    assert decode_owner(encode_owner(name).encode()) == owner


@pytest.mark.parametrize(
    "raw", [None, b"", b"{", b"[]", b"7", b"null", b"{}", b'{"n":"a","h":"b","p":"x"}', b"\xff"]
)
def test_what_is_unreadable_is_nobody(raw: bytes | None) -> None:
    assert decode_owner(raw) is None


def test_an_owner_names_its_job_where_there_is_one() -> None:
    owner = LockOwner(name="a", host="web-1", pid=7)
    assert str(owner) == "process 7 on web-1"
    raw = b'{"h":"web-1","p":7,"j":"0198","n":"a"}'
    assert str(decode_owner(raw)) == "process 7 on web-1, job 0198"
