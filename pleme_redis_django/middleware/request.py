"""EnqueueRequest: what one enqueue is about to store, as enqueue middleware sees and changes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import BrokenMiddleware, InvalidParameters, NotJson
from pleme_redis_django.jobs.interface.json_text import canonical_json, to_json
from pleme_redis_django.wording import did_you_mean


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What a row holds in place of parameters that nobody is to read in it."""

    parameters: Mapping[str, Any]
    """Those that were sealed, so that a later change of them is noticed."""
    stored: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueRequest:
    """One job before it is stored. It is not changed: ``replace()`` returns another one."""

    job_type: str
    parameters: Mapping[str, Any]
    """By name, as plain JSON."""
    metadata: Mapping[str, Any]
    product: str
    queue_name: str
    priority: int
    run_after: datetime | None
    """None: due when it is stored."""
    max_retries: int
    unique_key: str | None
    is_unique: bool
    """Whether an equal job may stand in its place: equal by ``unique_key``, or else by its parameters."""
    sealed: Sealed | None = None

    def replace(self, **changes: Any) -> EnqueueRequest:
        """Return the request with other values: ``parameters``, ``metadata``, or where and when the job runs.

        Raises BrokenMiddleware for a name that cannot be changed; the enqueue checks the values.
        """
        for name in changes:
            if name not in CHANGEABLE:
                accepted = f"Accepted: {', '.join(CHANGEABLE)}."
                raise BrokenMiddleware(
                    f"request.replace({name}=...): an enqueue's {name!r} cannot be changed. "
                    f"{did_you_mean(name, CHANGEABLE, otherwise=accepted)}"
                )
        return dataclasses.replace(self, **changes)

    def with_metadata(self, **entries: Any) -> EnqueueRequest:
        """Return the request with these entries of its metadata beside the others."""
        return dataclasses.replace(self, metadata={**self.metadata, **entries})

    def key_text(self) -> str:
        """Return what makes the job equal to another one: its unique key, or else its parameters.

        Raises InvalidParameters for parameters that JSON does not keep.
        """
        if self.unique_key is not None:
            return self.unique_key
        self.check_json()
        return canonical_json(dict(self.parameters))

    def check_json(self) -> None:
        """Raise InvalidParameters for parameters that JSON does not keep.

        The enqueue checks them at its end; this is for what has to make something of them before.
        """
        try:
            to_json(dict(self.parameters), max_bytes=get_settings().max_parameters_bytes)
        except NotJson as error:
            raise InvalidParameters(f"The parameters of {self.job_type} are refused: {error}.") from None

    def seal(self, stored: Mapping[str, Any]) -> EnqueueRequest:
        """Return the request whose row holds ``stored`` in place of the parameters.

        The attempt has to turn it back, by setting ``context.parameters``.
        """
        return dataclasses.replace(self, sealed=Sealed(parameters=self.parameters, stored=stored))


CHANGEABLE = tuple(
    field.name
    for field in dataclasses.fields(EnqueueRequest)
    if field.name not in ("job_type", "is_unique", "sealed")
)
