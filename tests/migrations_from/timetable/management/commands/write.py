"""Write entries with the other scheduler's own API, and print when it says that each fires; null: not as a schedule."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand

Times = dict[str, list[datetime] | None]
TICKS = 4


class Command(BaseCommand):
    def handle(self, *_args: Any, **_options: Any) -> None:
        module = import_module(f"timetable.{os.environ['SOURCE'].replace('-', '_')}")
        written: Times = module.write(datetime.now(UTC) + timedelta(seconds=1), TICKS)
        shown = {
            name: times if times is None else [time.astimezone(UTC).isoformat() for time in times]
            for name, times in written.items()
        }
        self.stdout.write(json.dumps(shown))
