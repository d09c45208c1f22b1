"""The app that stamps the claims of a worker process."""

from __future__ import annotations

from django.apps import AppConfig


class StampsConfig(AppConfig):
    """Stamps when hints come, and when claims are sent and answered."""

    name = "tests.benchmarks.stamps"

    def ready(self) -> None:
        from tests.benchmarks.stamps import claims  # It needs the models.

        claims.stamp()
