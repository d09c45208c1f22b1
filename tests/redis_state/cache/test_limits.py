from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django import CacheManager
from pleme_redis_django.exceptions import InvalidNumber


@pytest.mark.parametrize(
    "options",
    [
        {"grace": -1},
        {"grace": 86_401},
        {"beta": -1},
        {"beta": float("nan")},
        {"build_seconds": 0},
        {"wait_seconds": -1},
        {"none_timeout": -1},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidNumber, match=next(iter(options)).removeprefix("none_")):
        CacheManager("acme").get_or_set("x", int, 300, **options)
