"""Settings of the shop with Procrastinate."""

from __future__ import annotations

APPS = ["procrastinate.contrib.django", "from_procrastinate"]
SETTINGS: dict[str, object] = {}
