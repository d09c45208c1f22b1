"""Connection: one websocket as its process sees it. Each of its parts owns one thing."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.realtime.appearance import Appearance
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.control import Control
from pleme_redis_django.realtime.limits import ClientLimits
from pleme_redis_django.realtime.listening import Listening
from pleme_redis_django.realtime.loop_work import LoopWork
from pleme_redis_django.realtime.outbox import Outbox
from pleme_redis_django.realtime.quotas import Quota
from pleme_redis_django.realtime.sends import Send
from pleme_redis_django.realtime.standing import Standing


class Connection:
    """Made by a consumer, kept by the hub of its event loop; for that loop's thread alone."""

    __slots__ = (
        "__weakref__",
        "appearance",
        "id",
        "is_busy",
        "is_registered",
        "limits",
        "listening",
        "opened_at",
        "outbox",
        "product",
        "quota",
        "standing",
        "user_id",
    )

    def __init__(
        self,
        connection_id: str,
        scope: dict[str, Any],
        send: Send,
        limits: ClientLimits,
        work: LoopWork,
        *,
        began_at: float | None = None,
    ) -> None:
        self.id = connection_id
        self.product: str = scope["product"]
        user = scope["user"]
        self.user_id: str | None = str(user.pk) if user.is_authenticated else None
        self.limits = limits
        self.opened_at = work.clock() if began_at is None else began_at
        self.is_registered = False
        """Whether it sent ``connect``, or need not."""
        self.is_busy = False
        """Whether one of its commands is running."""
        self.standing = Standing(scope, self.user_id)
        self.quota = Quota(limits, work.clock)
        self.listening = Listening()
        self.appearance = Appearance()
        self.outbox = Outbox(send, limits, self.listening, work)

    @property
    def is_someone_online(self) -> bool:
        """Whether it keeps a user online in a product; a dashboard's socket has no product."""
        return self.is_registered and self.user_id is not None and self.product != ""

    @property
    def is_closing(self) -> bool:
        """Whether nothing more is sent."""
        outbox = self.outbox
        return outbox.is_gone or outbox.close_code is not None

    def is_meant_by(self, control: Control) -> bool:
        return control.concerns(self.user_id, self.product, self.standing.session_key)

    def close(self, code: CloseCode, why: str) -> None:
        """Say goodbye and close. The consumer gets the disconnect as usual."""
        self.outbox.close(code, why)

    def keep_time(self, now: float) -> None:
        """Close it if it takes too long, and ping it if it is silent; called about twice a second."""
        limits, pulse, blocked_since = self.limits, self.outbox.pulse, self.outbox.blocked_since
        if blocked_since is not None and now - blocked_since > limits.send_timeout_seconds:
            self.close(CloseCode.SLOW, "the client does not read")
        elif not self.is_registered and now - self.opened_at > limits.connect_timeout_seconds:
            self.close(CloseCode.BAD_PROTOCOL, "no connect command")
        elif pulse.is_lost(now, limits.pong_seconds):
            self.close(CloseCode.NO_PONG, "no answer to a ping")
        elif pulse.is_due(now, limits.ping_seconds):
            self.outbox.ping()
