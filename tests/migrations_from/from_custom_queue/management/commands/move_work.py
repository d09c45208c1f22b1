"""Make jobs of the rows that wait: each batch in one transaction, so that a row is in one of the two tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.management import BaseCommand
from django.db import transaction
from shop import jobs

from from_custom_queue.models import Work
from pleme_redis_django import InvalidParameters

JOBS = {"receipt": jobs.send_receipt, "stock": jobs.sync_stock, "reminder": jobs.remind}
BATCH = 500


@transaction.atomic
def move_batch(refused: Callable[[str], object]) -> int:
    rows = list(Work.objects.filter(state="new").order_by("id").select_for_update(skip_locked=True)[:BATCH])
    for row in rows:
        options = {"run_after": row.run_at, "metadata": {"work_id": row.pk}}
        try:
            JOBS[row.kind].using(**options).enqueue(**row.payload)
        except InvalidParameters as error:
            refused(f"row {row.pk} stays: {error}")
            row.state = "refused"
            row.save()
        else:
            row.delete()
    return len(rows)


class Command(BaseCommand):
    """``move_work``."""

    def handle(self, **_options: Any) -> None:
        while read := move_batch(self.stderr.write):
            self.stdout.write(f"{read} read")
