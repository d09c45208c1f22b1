"""Facts of the current request: what a job takes along of it, and where the code that runs finds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from django.utils import translation

METADATA_KEY = "request_context"
"""Under which a job's metadata has the facts."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """What is known of the request that led to the code that runs, in it or in a job of it."""

    request_id: str
    user_id: str | None
    """The primary key of its user as text; None: nobody was logged in."""
    language: str | None
    """That was active when the job was enqueued; None in a request, and where none was."""


class CurrentRequest(Protocol):
    """A request that is being answered, or the facts of one."""

    @property
    def request_id(self) -> str: ...

    @property
    def user_id(self) -> str | None:
        """May query, as ``request.user`` does."""
        ...


_current: ContextVar[CurrentRequest | None] = ContextVar("pleme_redis_django_request", default=None)


def current_request() -> CurrentRequest | None:
    """Return the request that led here: the one being answered, or in a job the one that enqueued it."""
    return _current.get()


@contextmanager
def answering(request: CurrentRequest) -> Iterator[None]:
    """Make a request the current one."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def active(facts: RequestFacts) -> Iterator[None]:
    """Make the request of a job the current one, and its language active."""
    with answering(facts):
        if facts.language is None:
            yield
        else:
            with translation.override(facts.language):
                yield


def stored(request: CurrentRequest) -> dict[str, Any]:
    """Return the facts as metadata have them, with the language that is active now."""
    return {"id": request.request_id, "user": request.user_id, "language": translation.get_language()}


def facts_of(job: Any) -> RequestFacts | None:
    """Return the facts in a job's metadata; None: there are none. The row may hold anything there."""
    metadata = getattr(job, "metadata", None)
    kept = metadata.get(METADATA_KEY) if isinstance(metadata, Mapping) else None
    if not isinstance(kept, Mapping) or not isinstance(kept.get("id"), str):
        return None
    user, language = kept.get("user"), kept.get("language")
    is_known = isinstance(language, str) and translation.check_for_language(language)
    return RequestFacts(
        request_id=kept["id"],
        user_id=user if isinstance(user, str) else None,
        language=language if is_known else None,
    )
