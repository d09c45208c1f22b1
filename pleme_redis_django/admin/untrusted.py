"""Values that no address or form may contain: refused before a query is built from them."""

from __future__ import annotations

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest

# More digits than any number of a form has; Python itself refuses to read more than 4,300.
_DIGITS = 18


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
