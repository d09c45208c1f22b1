"""What is typed into the search of a job list, as terms: ``status:failed param.order_id:42 "shop.import"``.

Knows the words and their form; what a term means for the database is conditions.py's to say.
"""

from __future__ import annotations

import dataclasses
import re

from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.wording import did_you_mean, shortened

QUALIFIERS = ("id", "type", "queue", "product", "status", "worker", "error", "param", "before", "after")
PATH_KEYS = 20
"""The most keys behind ``param.``: each is a level of nesting in the statement."""

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TERM = re.compile(
    rf'(?P<key>[A-Za-z_]+(?:\.(?:{_QUOTED}|[^\s.:"]+))*\.?):(?P<value>{_QUOTED}|\S*)|(?P<word>{_QUOTED}|\S+)'
)
_STEP = re.compile(rf'\.({_QUOTED}|[^\s.:"]+)')


class SearchError(PlemeError, ValueError):
    """A search that says nothing we know; the message says what is wrong, what is known, what to do."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One qualifier with its value, or a bare word (``key`` is empty)."""

    key: str
    value: str
    path: tuple[str, ...] = ()
    """The keys behind ``param.``, outermost first."""
    is_quoted: bool = False
    """Whether the value is to be taken as it is."""


def parse_search(text: str) -> list[Term]:
    """Return the terms of a search. Raises SearchError."""
    return [_term(found) for found in _TERM.finditer(text)]


def written_terms(text: str) -> list[tuple[str, str]]:
    """Return the terms of a search as they were written, each behind its qualifier ("" for a bare word)."""
    return [((found["key"] or "").partition(".")[0].lower(), found[0]) for found in _TERM.finditer(text)]


def _term(found: re.Match[str]) -> Term:
    if found["word"] is not None:
        return Term(key="", value=_unquoted(found["word"]), is_quoted=found["word"].startswith('"'))
    key, _dot, _path = found["key"].partition(".")
    key = key.lower()
    path = tuple(_unquoted(step) for step in _STEP.findall(found["key"]))
    _check_key(key, path, written=found[0])
    if not found["value"]:
        raise SearchError(
            f'"{shortened(found["key"])}:" has no value. Write it after the colon, without a space.'
        )
    return Term(key=key, value=_unquoted(found["value"]), path=path, is_quoted=found["value"].startswith('"'))


def _check_key(key: str, path: tuple[str, ...], *, written: str) -> None:
    if key not in QUALIFIERS:
        known = [f"{each}:" for each in QUALIFIERS]
        advice = did_you_mean(f"{key}:", known, otherwise=f"Known: {', '.join(known)}.")
        raise SearchError(
            f'"{shortened(key)}:" is not a qualifier. {advice} '
            f'To search for the text itself, quote it: "{shortened(written)}".'
        )
    if key == "param" and not path:
        raise SearchError('"param:" needs the name of a parameter, such as param.order_id:42.')
    if len(path) > PATH_KEYS:
        raise SearchError(
            f'"param." has {len(path)} names after it. Accepted: at most {PATH_KEYS}, one for each level of nesting.'
        )
    if key != "param" and path:
        raise SearchError(
            f'"{key}:" takes no name after a dot; only "param." does, such as param.order_id:42.'
        )


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if len(text) > 1 and text.startswith('"') else text
