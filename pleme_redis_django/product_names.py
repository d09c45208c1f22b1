"""The rule of a product (tenant) name, and its words: settings and calls follow the same one. Pure."""

from __future__ import annotations

import re
from typing import TypeGuard

ACCEPTED = "1 to 50 characters of a-z, 0-9 and -, not starting with -"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")


def is_product_name(value: object) -> TypeGuard[str]:
    """Whether the value is text that matches ``[a-z0-9][a-z0-9-]{0,49}`` as a whole."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None
