"""The websocket of the jobs dashboard: snapshots for staff who may see the jobs, and nothing else.

Each message is a snapshot as JSON, the same that polling gets. A client only answers
pings. User, session, permission and products are checked again, as those of other sockets are.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar
from urllib.parse import parse_qs

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.models import AbstractJob, Job, model_label
from pleme_redis_django.monitoring.snapshot import snapshot
from pleme_redis_django.realtime.authorization import OUTAGES
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.consumers import RealtimeConsumer
from pleme_redis_django.realtime.dashboard_feed import DashboardFeed, viewer_scope
from pleme_redis_django.realtime.database_threads import call_for_identity
from pleme_redis_django.realtime.sessions import SessionsAway, load_user
from pleme_redis_django.redis_state.server.loop_registry import LoopRegistry

logger = logging.getLogger("pleme_redis_django.consumers")

# It belongs to no product: the scope says what its user sees.
NO_PRODUCT = ""


class DashboardConsumer(RealtimeConsumer):
    """Set ``job_model`` in a subclass for a dashboard of your own job table."""

    job_model: ClassVar[type[AbstractJob]] = Job
    product_scope: ProductScope | None = None

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        """Accept, then close with a code if the user may not see the dashboard."""
        await super().websocket_connect(message)
        if self.connection is not None and self.product_scope is not None:
            # There is no command to wait for.
            self.hub.sockets.register(self.connection)
            dashboard_feed(self.job_model).join(self.connection, self.product_scope)

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        """Note that the client is there."""
        if self.connection is not None and not self.connection.is_closing:
            self.connection.outbox.heard()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self.connection is not None:
                await dashboard_feed(self.job_model).leave(self.connection)

    async def _admit(self) -> tuple[CloseCode | None, str]:
        if "user" not in self.scope:
            return await super()._admit()
        user = self.scope["user"]
        try:
            scope, is_authenticated = await call_for_identity(self._look_at, user)
        except (SessionsAway, *OUTAGES):
            logger.warning("A dashboard has to come back later.", exc_info=True)
            return CloseCode.OVERLOAD, "the service is not available"
        except Exception:
            logger.exception(
                "The permissions of a viewer of the dashboard could not be checked; they are refused."
            )
            return CloseCode.DENIED, "permission denied"
        if scope is None:
            code = CloseCode.DENIED if is_authenticated else CloseCode.BAD_CREDENTIALS
            return code, "permission denied" if is_authenticated else "log in first"
        if self._is_of_another_table():
            return CloseCode.DENIED, f"these are the figures of {model_label(self.job_model)}"
        self.scope["product"] = NO_PRODUCT
        self.product_scope = scope
        return None, ""

    def _is_of_another_table(self) -> bool:
        """Whether the page that asks is about another job model, as its address says."""
        query = parse_qs(self.scope.get("query_string", b"").decode("latin-1"))
        theirs, ours = query.get("model", [""])[0], model_label(self.job_model)
        if theirs in ("", ours):
            return False
        logger.error(
            "A dashboard of %.200r asked for figures at %s, where those of %s are: it polls instead. Mount a "
            "DashboardConsumer with its job_model there, or take websocket_path off its DashboardAdmin.",
            theirs,
            self.scope.get("path"),
            ours,
        )
        return True

    def _look_at(self, user: Any) -> tuple[ProductScope | None, bool]:
        is_authenticated = load_user(self.scope)
        return viewer_scope(user, self.job_model), is_authenticated


_feeds: LoopRegistry[type[AbstractJob], DashboardFeed] = LoopRegistry()


def dashboard_feed(model: type[AbstractJob]) -> DashboardFeed:
    """Return the running event loop's feed of a job model."""
    return _feeds.get(model, lambda: DashboardFeed(model, lambda scope: snapshot(scope, model=model)))
