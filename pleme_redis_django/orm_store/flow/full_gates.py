"""Full gates: since when jobs have waited at each, for people to see. The elected sweep keeps the rows.

The jobs themselves do not tell: those that have waited before are gone, and who changes a priority writes the row anew.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.db.models import DurationField, ExpressionWrapper, F, QuerySet
from django.db.models.functions import Now

from pleme_redis_django.models.flow_limit import FullGate
from pleme_redis_django.models.job import model_label
from pleme_redis_django.orm_store.flow.gates import TOKEN_PREFIX
from pleme_redis_django.orm_store.job_table import JobTable

# So many gates are new at one look at most; the others are at the next ones.
NEW_GATES = 1_000
# Of a limit of very many keys people see a few, and the sweep reads all that are kept.
GATES_KEPT = 10_000
# While nobody waits, so often it is looked whether another process, that was the elected one meanwhile, has left rows.
LOOK_AGAIN_SECONDS = 60.0
# Nobody knows what became of a gate while no sweep saw it for so long, as between two bursts of workers.
UNSEEN_FOR = timedelta(minutes=5)


class FullGates:
    """The rows of one job table."""

    def __init__(self, table: JobTable[Any]) -> None:
        self._table = table
        self._may_have_rows = True
        """Whether there may be some: of another process at first."""
        self._looked_at = time.monotonic()

    def keep(self, texts: Collection[str]) -> None:
        """Keep the rows of those gates at which somebody waits, by their texts, for a place or for a token."""
        now = time.monotonic()
        # Mostly nobody waits anywhere, and an idle cluster asks nothing more.
        if not texts and not self._may_have_rows and now - self._looked_at < LOOK_AGAIN_SECONDS:
            return
        waited_at = {text.removeprefix(TOKEN_PREFIX) for text in texts}
        unseen_for = ExpressionWrapper(Now() - F("seen_at"), output_field=DurationField())
        found = list(self._rows().values_list("gate", unseen_for))
        known = {gate for gate, unseen in found if gate in waited_at and unseen < UNSEEN_FOR}
        if gone := [gate for gate, _unseen in found if gate not in known]:
            self._rows().filter(gate__in=gone).delete()
        if known:
            self._rows().update(seen_at=Now())
        room = max(min(NEW_GATES, GATES_KEPT - len(known)), 0)
        label = model_label(self._table.model)
        rows = [FullGate(job_model=label, gate=gate) for gate in sorted(waited_at - known)[:room]]
        FullGate._base_manager.using(self._table.using).bulk_create(rows, ignore_conflicts=True)
        self._may_have_rows, self._looked_at = bool(waited_at), now

    def _rows(self) -> QuerySet[FullGate]:
        return FullGate._base_manager.using(self._table.using).filter(
            job_model=model_label(self._table.model)
        )
