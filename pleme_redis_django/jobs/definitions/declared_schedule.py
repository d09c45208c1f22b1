"""DeclaredSchedule: what ``cron()`` and ``every()`` make, as a value that a definition keeps."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pleme_redis_django.jobs.definitions.schedule_values import DEFAULT_CATCH_UP_LIMIT, CatchUp, Overlap
from pleme_redis_django.jobs.interface.json_text import canonical_json


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSchedule:
    """What ``cron()`` and ``every()`` return, for ``@job(schedule=...)``."""

    cron: str = ""
    interval_seconds: int | None = None
    timezone: str | None = None
    """None: the settings' TIME_ZONE."""
    name: str | None = None
    """None: the job's own, for its first schedule."""
    product: str | None = None
    """None: the product of the settings."""
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    jitter_seconds: int = 0
    catch_up: CatchUp = CatchUp.SKIP
    catch_up_limit: int = DEFAULT_CATCH_UP_LIMIT
    overlap: Overlap = Overlap.SKIP
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def digest(self, job_type: str) -> str:
        """Return a text by which declarations of one name are compared: equal for equal ones."""
        values = dataclasses.asdict(self) | {"job_type": job_type}
        text = canonical_json({name: _plain(value) for name, value in values.items()})
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
