"""Plain values: the constants that JSON and a text of arguments can hold, checked before anything is made of them."""

from __future__ import annotations

import math
from typing import Any

from pleme_redis_django.adoption.schedules.entry import CannotExpress

MAX_VALUES = 10_000
"""Of one entry. Each occurrence counts, because a few lines can refer to one list a billion times."""
MAX_DEPTH = 50
_SCALARS = (str, bytes, bool, int, float, type(None))


def checked_plain(value: Any) -> Any:
    """Return the value. Raises CannotExpress unless it is small, and of constants, lists and dicts with text keys."""
    count, waiting = 0, [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        count += 1
        if count > MAX_VALUES or depth > MAX_DEPTH:
            raise CannotExpress(
                f"its arguments have more than {MAX_VALUES:,} values, or are nested more than {MAX_DEPTH} deep. Store "
                "them in your database, and give the job their key"
            )
        if isinstance(each, dict):
            waiting += [(inner, depth + 1) for pair in each.items() for inner in pair]
            if wrong := [key for key in each if not isinstance(key, str)]:
                raise _refusal(f"a key that is not text ({type(wrong[0]).__name__})")
        elif isinstance(each, list | tuple):
            waiting += [(inner, depth + 1) for inner in each]
        elif not isinstance(each, _SCALARS):
            raise _refusal(f"a value of the type {type(each).__name__}")
        elif isinstance(each, float) and not math.isfinite(each):
            raise _refusal(f"the number {each}")
    return value


def _refusal(what: str) -> CannotExpress:
    return CannotExpress(
        f"its arguments have {what}, which is not JSON. Make the schedule in the admin with arguments that are"
    )
