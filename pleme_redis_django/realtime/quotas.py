"""How many commands a second are accepted from a connection and from a user."""

from __future__ import annotations

from typing import Protocol

from pleme_redis_django.realtime.allowance import Allowance, Clock
from pleme_redis_django.realtime.limits import ClientLimits

REFUSALS_FORGOTTEN_SECONDS = 600.0
CLEAN_SECONDS = 60.0


class Quota:
    """What one connection has left: commands, and frames that may be refused."""

    __slots__ = ("commands", "refusals")

    def __init__(self, limits: ClientLimits, clock: Clock) -> None:
        self.commands = Allowance(limits.commands_per_second, clock=clock)
        self.refusals = Allowance(limits.refusals / REFUSALS_FORGOTTEN_SECONDS, limits.refusals, clock=clock)


class Payer(Protocol):
    """What a quota needs to know of a connection."""

    @property
    def product(self) -> str: ...
    @property
    def user_id(self) -> str | None: ...
    @property
    def limits(self) -> ClientLimits: ...
    @property
    def quota(self) -> Quota: ...


class UserQuotas:
    """What all sockets of a user in one product share; an anonymous socket has only its own quota."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._allowances: dict[tuple[str, str], Allowance] = {}
        self._cleaned_at = 0.0

    def take(self, payer: Payer) -> bool:
        """Take what one command costs; return whether the connection and its user can afford it."""
        if payer.user_id is None:
            return payer.quota.commands.take()
        return payer.quota.commands.take() and self._allowance(payer, payer.user_id).take()

    def charge(self, payer: Payer, cost: float) -> None:
        """Charge a connection and its user for what a command caused, beyond its own token."""
        payer.quota.commands.charge(cost)
        if payer.user_id is not None:
            self._allowance(payer, payer.user_id).charge(cost)

    def clean(self, now: float) -> None:
        """Forget, once a minute, the allowances that are full again: a new one would be the same."""
        if now - self._cleaned_at > CLEAN_SECONDS:
            self._cleaned_at = now
            self._allowances = {key: each for key, each in self._allowances.items() if not each.is_full()}

    def _allowance(self, payer: Payer, user_id: str) -> Allowance:
        key = (payer.product, user_id)
        allowance = self._allowances.get(key)
        if allowance is None:
            rate = payer.limits.user_commands_per_second
            allowance = self._allowances[key] = Allowance(rate, clock=self._clock)
        return allowance
