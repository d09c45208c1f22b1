"""Fixtures: the middleware of one test, and what it has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.middleware import classes

UseMiddleware = Callable[..., None]


@pytest.fixture
def use(settings: Any) -> UseMiddleware:
    """``use(Outer, Inner, **other settings)``: have the settings list these classes, the outermost first."""

    def use_classes(*kinds: type, **others: Any) -> None:
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, "MIDDLEWARE": classes.paths(*kinds), **others}

    return use_classes


@pytest.fixture(autouse=True)
def seen() -> Iterator[list[Any]]:
    """What the middleware of the test has noted."""
    classes.SEEN.clear()
    yield classes.SEEN
    classes.SEEN.clear()
