"""Which values a setting accepts. Each check returns what is accepted when the value is not, else None."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pleme_redis_django import product_names
from pleme_redis_django.ranges import Number, Whole

Check = Callable[[Any], str | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Hook:
    """The dotted path of a function of the project's own, or None; ``conf.hooks`` imports it."""

    signature: str
    """How it is called, as a message says it."""

    def __call__(self, value: object) -> str | None:
        return optional_text(value)


def objection(check: Check | Whole | Number, value: object) -> str | None:
    """Return what is accepted when the value is not, else None."""
    if isinstance(check, Whole | Number):
        return None if check.accepts(value) else str(check)
    return check(value)


def texts(value: object) -> str | None:
    """Accept a list of non-empty strings."""
    if isinstance(value, list | tuple) and all(isinstance(each, str) and each for each in value):
        return None
    return "a list of non-empty strings"


def boolean(value: object) -> str | None:
    """Accept True and False, and nothing that is only like them."""
    return None if isinstance(value, bool) else "True or False"


def text(value: object) -> str | None:
    return None if isinstance(value, str) and value else "a non-empty string"


def optional_text(value: object) -> str | None:
    return None if value is None else text(value) and "a non-empty string, or None"


def redis_url(value: object) -> str | None:
    """Accept a Redis URL whose query leaves alone what this package sets itself, or None."""
    schemes = ("redis://", "rediss://", "unix://")
    if value is None:
        return None
    if not isinstance(value, str) or not value.startswith(schemes):
        return f"a URL that starts with {', '.join(schemes)}, or None to run without Redis"
    options = [name for name, _ in parse_qsl(urlsplit(value).query, keep_blank_values=True)]
    refused = [name for name in options if name != "db" and not name.startswith("ssl_")]
    if refused:
        return (
            f"in its query db and ssl_* only, not {', '.join(refused)}: how connections answer, wait and try again "
            "is set for each use by this package, which would misread other replies"
        )
    return None


def optional_product(value: object) -> str | None:
    if value is None or product_names.is_product_name(value):
        return None
    return f"None, or a product name, {product_names.ACCEPTED}"


def named_mappings(value: object) -> str | None:
    if isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(entry, Mapping) for name, entry in value.items()
    ):
        return None
    return "a dict of dicts, keyed by name"


def waits(value: object) -> str | None:
    """Accept a dict of queue name to seconds."""
    if isinstance(value, Mapping) and all(
        isinstance(name, str) and type(seconds) in (int, float) and 0 < seconds < float("inf")
        for name, seconds in value.items()
    ):
        return None
    return 'a dict of queue name (or "*") to seconds, more than 0'


def weights(value: object) -> str | None:
    """Accept a dict of product to weight."""
    if isinstance(value, Mapping) and all(
        product_names.is_product_name(name) and type(weight) in (int, float) and 0.01 <= weight <= 1_000
        for name, weight in value.items()
    ):
        return None
    return "a dict of product name to a number from 0.01 to 1,000"


def mapping(value: object) -> str | None:
    """Accept any dict; who reads it knows its keys."""
    return None if isinstance(value, Mapping) else "a dict"
