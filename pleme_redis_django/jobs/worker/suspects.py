"""Suspects: jobs during whose execution worker processes died; they run one at a time.

Under a supervisor they run in a process of their own, which claims nothing else: a death there is the
job's own. Every other process goes on as if there were none. A pool that nobody supervises runs them
beside its ordinary work, one at a time; nobody sees it die, so that nothing is ever proven there.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

from pleme_redis_django.jobs.interface.events import EventSink, SuspectsSeen, SuspectStarted
from pleme_redis_django.jobs.worker.holdings import HeldJob, Holdings


class SuspectRule(enum.Enum):
    """What a process does about suspects."""

    BESIDE = "beside"
    """It runs them one at a time, beside its ordinary work."""
    REPORTED = "reported"
    """It leaves them alone, and tells its supervisor when some are ready."""
    ONLY = "only"
    """It runs nothing else, one at a time, and ends when none is left: the quarantine process."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunMode:
    """What a process runs, and for how long."""

    burst: bool = False
    """It ends once nothing is claimable any more."""
    suspects: SuspectRule = SuspectRule.BESIDE

    @property
    def ends_when_dry(self) -> bool:
        """Whether it ends by itself: in burst mode, and a quarantine process when no suspect is left."""
        return self.burst or self.suspects is SuspectRule.ONLY


class SuspectTurns:
    """Whose turn it is: one suspect of this process at a time; for the claimer's thread."""

    def __init__(self, rule: SuspectRule, holdings: Holdings, sink: EventSink) -> None:
        self.rule = rule
        self.pending = False
        """Whether suspects may be ready for this process to run."""
        self._holdings = holdings
        self._sink = sink
        self._held: HeldJob | None = None

    def note_seen(self) -> None:
        """Take note that suspects are ready."""
        if self.rule is SuspectRule.REPORTED:
            self._sink.emit(SuspectsSeen())
        else:
            self.pending = True

    def has_turn(self) -> bool:
        """Whether a suspect may be claimed: none runs here, and some may be ready."""
        return self.pending and not self._is_held()

    def note_claimed(self, claimed: Sequence[HeldJob]) -> None:
        """Take note of the suspect that was claimed for this turn, or that there was none."""
        if not claimed:
            self.pending = False
            return
        self._held = claimed[0]
        self._sink.emit(SuspectStarted(self._held.job))

    def _is_held(self) -> bool:
        held = self._held
        return held is not None and self._holdings.holds(held.job.id, held.claim.attempt)
