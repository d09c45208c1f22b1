"""JobSelection: which ready jobs are meant, as a value."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobSelection:
    """Which ready jobs a claim may take; the default is all but suspects."""

    queue_names: tuple[str, ...] | None = None
    """None: every queue."""
    product: str | None = None
    """None: every product."""
    job_types: frozenset[str] | None = None
    """None: every type. A type that no handler is known for is left alone, for a worker that knows it."""
    suspects: bool = False
    """True: only suspects, at whose run several worker processes died; each runs alone."""
    fair: bool = False
    """True: no product waits behind the backlog of another one."""
    aging_seconds_per_point: float | None = None
    """Of a fair selection: a job counts as due so much earlier for each point of priority; None: priorities rule."""
