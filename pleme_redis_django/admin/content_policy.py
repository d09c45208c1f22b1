"""The nonce that a Content-Security-Policy asks of the tags of a page, whichever middleware makes it."""

from __future__ import annotations

from django.http import HttpRequest


def csp_nonce(request: HttpRequest) -> str:
    """Return the nonce of Django's own middleware (6.0 and later) or of django-csp, "" without either."""
    own = getattr(request, "_csp_nonce", None)
    # Django's is made when it is read as text, and false until then.
    return str(getattr(request, "csp_nonce", "") if own is None else own)
