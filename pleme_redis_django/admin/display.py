"""How values of a job look on a page: escaped, of bounded size, readable without colour.

No inline style and no script (strict CSP): classes only, and admin.css takes every colour from the
admin's own variables.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pleme_redis_django.direction_marks import without_reordering as without_reordering
from pleme_redis_django.durations import duration
from pleme_redis_django.jobs.interface.job import JobStatus

SHOWN_CHARACTERS = 8 * 1024

STATUS_ICONS = {
    JobStatus.PENDING: "◷",
    JobStatus.BLOCKED: "◫",
    JobStatus.QUEUED: "☰",
    JobStatus.RUNNING: "▶",
    JobStatus.COMPLETED: "✔",
    JobStatus.FAILED: "✖",
    JobStatus.CANCELLED: "⊘",
}


def status_badge(status: str) -> SafeString:
    known = JobStatus(status)
    return badge(STATUS_ICONS[known], known.capitalize(), known.lower())


def badge(icon: str, word: str, kind: str) -> SafeString:
    """Return an icon and a word, coloured by their kind."""
    return format_html(
        '<span class="pleme-badge pleme-{}"><span aria-hidden="true">{}</span> {}</span>', kind, icon, word
    )


def plain(text: str) -> SafeString:
    """Return text that may come from anyone: escaped, isolated from the direction of what is around."""
    return format_html("<bdi>{}</bdi>", without_reordering(text))


def json_text(value: Any) -> str:
    """Return JSON as people read it: sorted keys, indented, integers exact."""
    try:
        # default: what a project's redaction returns need not be JSON.
        text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str)
    except RecursionError:
        return "(nested too deeply to show)"
    return without_reordering(text)


def text_block(text: str, *, total: int | None = None, whole_url: str = "") -> SafeString:
    """Return preformatted text, cut to ``SHOWN_CHARACTERS`` with a note, and a link to all of it.

    ``total``: its length, when ``text`` is already cut.
    """
    total = len(text) if total is None else total
    shown = without_reordering(text[:SHOWN_CHARACTERS])
    block = format_html('<pre class="pleme-text" tabindex="0">{}</pre>', shown)
    if total <= SHOWN_CHARACTERS:
        return block
    link = format_html(' <a href="{}">Download all of it</a>', whole_url) if whole_url else ""
    note = "The first {} of {} characters."
    return format_html(
        '{}<p class="help">' + note + "{}</p>", block, f"{SHOWN_CHARACTERS:,}", f"{total:,}", link
    )


def age(at: datetime | None) -> SafeString | str:
    """Return how long ago or in how long, with the exact time as its title."""
    if at is None:
        return "-"
    seconds = (timezone.now() - at).total_seconds()
    words = f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), moment(at), words)


def moment(at: datetime | None) -> str:
    """Return a time in the admin's zone, to the millisecond."""
    if at is None:
        return "-"
    local = timezone.localtime(at) if timezone.is_aware(at) else at
    return (
        f"{date_format(local, 'Y-m-d H:i:s')}.{local.microsecond // 1000:03d} {local.tzname() or ''}".rstrip()
    )


def between(start: datetime | None, end: datetime | None) -> str:
    """Return how long something took, "-" when that is not known."""
    return "-" if start is None or end is None else duration(max((end - start) / timedelta(seconds=1), 0))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProgressFigures:
    """A job's progress as a bar shows it."""

    percent: float
    text: str
    note: str


def progress_figures(progress: Any) -> ProgressFigures | None:
    """Return what ``ctx.progress(done, total, note)`` stored; None for what is of another form."""
    if not isinstance(progress, dict):
        return None
    done, total = _number(progress.get("done")), _number(progress.get("total"))
    if done is None or not total or total < 0:
        return None
    try:
        percent = min(max(100 * done / total, 0), 100)
    except OverflowError:  # integers that no float holds
        return None
    return ProgressFigures(
        percent=round(percent, 1),
        text=f"{done:,} of {total:,} ({percent:.0f} %)",
        note=without_reordering(str(progress.get("note") or "")[:200]),
    )


def progress_bar(progress: Any) -> SafeString | str:
    """Return a job's progress as a bar with its numbers, or as JSON when it is of another form."""
    figures = progress_figures(progress)
    if figures is None:
        return "-" if progress is None else text_block(json_text(progress))
    return format_html(
        '<progress class="pleme-progress" max="100" value="{}" aria-label="Progress"></progress> '
        '<span class="pleme-progress-text">{}</span> <bdi class="pleme-progress-note">{}</bdi>',
        figures.percent,
        figures.text,
        figures.note,
    )


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
