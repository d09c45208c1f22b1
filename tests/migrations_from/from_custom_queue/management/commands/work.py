"""A worker loop such as many projects have written: it looks for due rows, and tries three times."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.core.management import BaseCommand
from django.db import transaction
from django.utils import timezone
from shop import work

from from_custom_queue.models import Work

LOOK_SECONDS = 0.1
KINDS = {"receipt": work.send_receipt, "stock": work.sync_stock, "reminder": work.remind}


class Command(BaseCommand):
    """``work``."""

    def handle(self, **_options: Any) -> None:
        while True:
            if not self._run_one():
                time.sleep(LOOK_SECONDS)

    def _run_one(self) -> bool:
        with transaction.atomic():
            due = Work.objects.filter(state="new", run_at__lte=timezone.now()).order_by("id")
            row = due.select_for_update(skip_locked=True).first()
            if row is None:
                return False
            row.state, row.tries = "running", row.tries + 1
            row.save()
        try:
            KINDS[row.kind](**row.payload)
            row.state = "done"
        except Exception:
            row.state = "new" if row.tries < 3 else "failed"
            row.run_at = timezone.now() + timedelta(seconds=1)
        row.save()
        return True
