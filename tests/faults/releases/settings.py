"""Settings of worker processes of either release."""

from __future__ import annotations

from tests.worker_settings import *  # noqa: F403 - the same settings
from tests.worker_settings import INSTALLED_APPS as OF_OTHERS

INSTALLED_APPS = [*OF_OTHERS, "tests.faults.releases"]
