"""Handlers that the tests of definitions make jobs of."""

from __future__ import annotations


def send(to: str, subject: str = "Hello", *, user_name: str) -> str:
    return f"{subject} {user_name} <{to}>"


async def send_async(to: str) -> str:
    return to
