"""JSON for a browser that polls: with an ETag, so that unchanged data is not sent again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response


def conditional_json(request: HttpRequest, payload: dict[str, Any]) -> HttpResponse:
    """Return the payload, or 304 when the browser has it; the time of the look (``at``) is not news."""
    news = json.dumps({**payload, "at": None}).encode()
    etag = f'"{hashlib.blake2b(news, digest_size=12).hexdigest()}"'
    response = HttpResponse(
        json.dumps(payload, separators=(",", ":")), content_type="application/json", headers={"ETag": etag}
    )
    return get_conditional_response(request, etag=etag, response=response) or response
