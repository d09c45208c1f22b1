"""The settings of the suite, with the app that stamps claims."""

from __future__ import annotations

from tests.settings import *  # noqa: F403 - the same project

INSTALLED_APPS = [*INSTALLED_APPS, "tests.benchmarks.stamps"]  # noqa: F405 - of those settings
