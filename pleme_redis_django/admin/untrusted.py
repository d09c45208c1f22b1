"""Values that no address or form may contain: refused before a query is built from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest

# More digits than any number of a form has; Python itself refuses to read more than 4,300.
_DIGITS = 18
# What Django's own filters of fields put into their links. A pattern could read out a hidden text.
_LINKED_LOOKUPS = frozenset({"exact", "isnull", "in", "gte", "gt", "lte", "lt", "id__exact"})


def refuse_nul(request: HttpRequest) -> None:
    """Raise SuspiciousOperation (an answer 400) where a value holds NUL, which PostgreSQL has no text with."""
    for values in (request.GET, request.POST):
        for name in values:
            if "\x00" in name or any("\x00" in value for value in values.getlist(name)):
                raise SuspiciousOperation("A value holds the character NUL. Send it without NUL.")


def whole_number(text: str | None) -> int | None:
    """Return a number of a form's hidden field, None when it is not one."""
    if text is None or len(text) > _DIGITS or not (text.isascii() and text.isdigit()):
        return None
    return int(text)


def is_offered(lookup: str, list_filter: Iterable[Any]) -> bool:
    """Whether a lookup of an address is one that the filters of the list offer."""
    offered = {_filtered_name(each) for each in list_filter}
    name, _, kind = lookup.partition("__")
    return lookup in offered or (name in offered and kind in _LINKED_LOOKUPS)


def _filtered_name(list_filter: Any) -> str:
    """Return the parameter or the field of one item of ``list_filter``."""
    if isinstance(list_filter, str):
        return list_filter
    return str(list_filter[0] if isinstance(list_filter, tuple | list) else list_filter.parameter_name)
