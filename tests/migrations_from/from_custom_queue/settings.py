"""Settings of the shop with a job table of its own."""

from __future__ import annotations

APPS = ["from_custom_queue"]
SETTINGS: dict[str, object] = {}
