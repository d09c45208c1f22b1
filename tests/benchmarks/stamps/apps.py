"""The app that stamps the claims of a worker process, and adds up the times of its threads."""

from __future__ import annotations

from django.apps import AppConfig


class StampsConfig(AppConfig):
    """Begins what the environment asks for."""

    name = "tests.benchmarks.stamps"

    def ready(self) -> None:
        from tests.benchmarks.stamps import claims, threads  # They need the models.

        claims.stamp()
        threads.begin()
