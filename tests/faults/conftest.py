"""The fixtures of the integration tests, for faults."""

from tests.integration.conftest import effects, start_workers

__all__ = ["effects", "start_workers"]
