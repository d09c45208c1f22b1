"""The URLs of the project, which only a web process and the checks of Django need."""

from __future__ import annotations

urlpatterns: list[object] = []
