"""Sends snapshots to the open dashboards of an event loop: one for each scope, however many viewers it has.

It runs while somebody watches. A viewer that has not received the last snapshot yet gets the next one instead.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from pleme_redis_django.access.product_scope import ProductScope, scope_of
from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.metrics.sampler import WATCHED_INTERVAL_SECONDS
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.monitoring.figures import Snapshot
from pleme_redis_django.realtime.authorization import OUTAGES
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.connection import Connection
from pleme_redis_django.realtime.database_threads import call_for_rule

logger = logging.getLogger("pleme_redis_django.dashboard_feed")

# Not more often than the sampler measures for viewers.
INTERVAL_SECONDS = WATCHED_INTERVAL_SECONDS


class DashboardFeed:
    """The viewers of one job model in one event loop; ``look`` returns what a scope is shown."""

    def __init__(self, model: type[AbstractJob], look: Callable[[ProductScope], Snapshot]) -> None:
        self._model = model
        self._look = look
        self._scopes: dict[Connection, ProductScope] = {}
        self._judged: dict[Connection, Any] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._scopes)

    @property
    def is_running(self) -> bool:
        return self._task is not None

    def join(self, connection: Connection, scope: ProductScope) -> None:
        """Send snapshots of a scope to a connection from now on."""
        self._scopes[connection] = scope
        self._judged[connection] = connection.standing.user
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def leave(self, connection: Connection) -> None:
        """Send nothing more to it. The feed ends with its last viewer."""
        self._scopes.pop(connection, None)
        self._judged.pop(connection, None)
        task = self._task
        if not self._scopes and task is not None:
            self._task = None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self.send_round()
            except Exception:
                # Without this task, no viewer would get anything more.
                logger.exception("A round of the dashboard failed.")
            await asyncio.sleep(INTERVAL_SECONDS)

    async def send_round(self) -> None:
        """Check the viewers whose user was loaded again, and send each scope its snapshot.

        A viewer who cannot be checked, or a snapshot that cannot be made, does not affect the others.
        """
        for connection in [each for each in self._scopes if each.standing.user is not self._judged[each]]:
            try:
                await self._judge(connection)
            except OUTAGES as error:
                logger.warning("A viewer of the dashboard will be checked later: %s", error)
            except Exception:
                logger.exception(
                    "The permissions of a viewer of the dashboard could not be checked; they are refused."
                )
                connection.close(CloseCode.DENIED, "permission denied")
        for scope in set(self._scopes.values()):
            try:
                await self._send(scope)
            except Exception:
                # The page asks by HTTP when it gets nothing, and its viewers stay.
                logger.exception("A snapshot of the dashboard could not be made.")

    async def _send(self, scope: ProductScope) -> None:
        text = await call_for_rule(self._text, scope)
        for connection, theirs in list(self._scopes.items()):
            if theirs == scope and not connection.is_closing and connection.outbox.blocked_since is None:
                connection.outbox.push(text)

    async def _judge(self, connection: Connection) -> None:
        user = connection.standing.user
        scope = await call_for_rule(viewer_scope, user, self._model)
        # It may have gone meanwhile.
        if connection not in self._scopes:
            return
        if scope is None:
            connection.close(CloseCode.DENIED, "permission denied")
        else:
            self._scopes[connection], self._judged[connection] = scope, user

    def _text(self, scope: ProductScope) -> str:
        return json.dumps(self._look(scope).as_json(), separators=(",", ":"))


def viewer_scope(user: Any, model: type[AbstractJob]) -> ProductScope | None:
    """Return what a user sees of the dashboard, None when they may not see it. May ask the database."""
    label, name = model._meta.app_label, model._meta.model_name
    if not (user.is_active and user.is_staff and user.has_perm(f"{label}.view_{name}")):
        return None
    try:
        return scope_of(user)
    except PlemeError as error:
        logger.error("A viewer of the dashboard was refused: %s", error)
        return None
