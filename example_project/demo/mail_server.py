"""A real SMTP server on loopback (aiosmtpd), which greylists: it refuses some recipients at first.

Greylisting (RFC 6647) answers the first try of an unknown recipient with 451, which well-behaved
senders repeat later. Here it is what makes some e-mail jobs fail and be retried.
"""

from __future__ import annotations

import dataclasses
import email
import email.policy
import threading
import zlib
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

GREYLISTED_ONE_IN = 10
GREYLISTED_ANSWER = "451 4.7.1 Greylisted, please try again later"
ACCEPTED_ANSWER = "250 Message accepted for delivery"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MailCounts:
    """What the server has seen so far."""

    delivered: frozenset[str]
    """The Message-IDs of what was accepted."""
    duplicates: int
    """How many messages came a second time, because a worker died between sending and saying so."""
    greylisted: int
    """How many recipients were refused at first."""


class MailServer:
    """Accepts mail on a loopback port and writes each message to a file of ``folder``."""

    def __init__(self, folder: Path, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self._folder = folder
        self._lock = threading.Lock()
        self._delivered: set[str] = set()
        self._seen_recipients: set[str] = set()
        self._duplicates = self._greylisted = 0
        # Without a name of its own it asks the resolver for one, at each connection, in its event loop.
        self._controller = Controller(
            self, hostname="127.0.0.1", port=port, server_hostname="mail.novaskyn.example"
        )

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop(no_assert=True)

    def counts(self) -> MailCounts:
        with self._lock:
            return MailCounts(
                delivered=frozenset(self._delivered),
                duplicates=self._duplicates,
                greylisted=self._greylisted,
            )

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd calls
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        with self._lock:
            if is_greylisted(address) and address not in self._seen_recipients:
                self._seen_recipients.add(address)
                self._greylisted += 1
                return GREYLISTED_ANSWER
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        message_id = str(message["Message-ID"])
        with self._lock:
            self._duplicates += message_id in self._delivered
            self._delivered.add(message_id)
        name = "".join(character for character in message_id if character.isalnum() or character in "-.@")
        (self._folder / f"{name}.eml").write_bytes(envelope.content)
        return ACCEPTED_ANSWER


def is_greylisted(address: str) -> bool:
    """Whether the first try of this recipient is refused: one in ten, always the same ones."""
    return zlib.crc32(address.encode()) % GREYLISTED_ONE_IN == 0
