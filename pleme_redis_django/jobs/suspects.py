"""Suspects: jobs at whose run worker processes died, and which run one at a time, never beside another suspect.

Under a supervisor they run in a process of their own, which claims nothing else: a death there is the
job's own. Every other process goes on as if there were none. A pool that nobody supervises runs them
beside its ordinary work, one at a time; nobody sees it die, so that nothing is ever proven there.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from pleme_redis_django.jobs.events import EventSink, SoloStarted
from pleme_redis_django.jobs.holdings import HeldJob, Holdings


class SuspectRule(enum.Enum):
    """What a process does about suspects."""

    BESIDE = "beside"
    """It runs them one at a time, beside its ordinary work."""
    REPORTED = "reported"
    """It leaves them alone, and tells its supervisor when some are ready."""
    ONLY = "only"
    """It runs nothing else, one at a time, and ends when none is left: the quarantine process."""


class SuspectTurns:
    """The part of the claimer that sees to suspects; for its thread."""

    def __init__(
        self,
        rule: SuspectRule,
        holdings: Holdings,
        sink: EventSink,
        *,
        claim_one: Callable[[], Sequence[HeldJob]],
        submit: Callable[[HeldJob], None],
        on_seen: Callable[[], None],
    ) -> None:
        self.rule = rule
        self.pending = False
        """Whether suspects may be ready for this process to run."""
        self._holdings = holdings
        self._sink = sink
        self._claim_one = claim_one
        self._submit = submit
        self._on_seen = on_seen
        self._held: HeldJob | None = None

    def note_seen(self) -> None:
        """Take note that suspects are ready."""
        if self.rule is SuspectRule.REPORTED:
            self._on_seen()
        else:
            self.pending = True

    def turn(self) -> None:
        """Start the next suspect when none runs here."""
        if not self.pending or self._is_held():
            return
        claimed = self._claim_one()
        if not claimed:
            self.pending = False
            return
        self._held = claimed[0]
        self._sink.emit(SoloStarted(self._held.context.job))
        self._submit(self._held)

    def _is_held(self) -> bool:
        held = self._held
        return held is not None and self._holdings.holds(held.context.job.id, held.context.claim.attempt)
