"""Enqueue what a day in the shop enqueues, with the queue that the shop leaves or with this package."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

from django.core.management import BaseCommand
from django.db import transaction


class RollBack(Exception):
    """The order was not placed after all."""


class Command(BaseCommand):
    """``call theirs|ours TAG RECEIPTS``."""

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("side", choices=["theirs", "ours"])
        parser.add_argument("tag")
        parser.add_argument("receipts", type=int)

    def handle(self, *, side: str, tag: str, receipts: int, **_options: Any) -> None:
        left = f"from_{os.environ['FROM']}"
        # The tasks of django.tasks are called alike on both sides.
        keeps_its_calls = left == "from_django_tasks_db"
        calls = import_module("shop.calls" if side == "ours" and not keeps_its_calls else f"{left}.calls")
        try:
            with transaction.atomic():
                calls.receipt(f"rolled-back {tag}")
                raise RollBack
        except RollBack:
            pass
        for number in range(receipts):
            calls.receipt(f"{number} {tag}")
        calls.stock(tag)
        calls.reminder(tag)
        try:
            calls.wrong()
        except Exception as error:
            self.stdout.write(f"refused with {type(error).__name__}")
        else:
            self.stdout.write("accepted")
        if os.environ["PHASE"] == "after" and not keeps_its_calls:
            assert left not in sys.modules, "the queue that the shop has left is still imported"
