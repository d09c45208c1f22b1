"""Operation: something that a person does to jobs, as the admin knows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.contrib.admin.models import CHANGE
from django.db.models import QuerySet

from pleme_redis_django.admin.display import moment
from pleme_redis_django.jobs.interface.job import JobStatus

Options = Mapping[str, Any]
"""The validated values of an operation's form."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something that a person does to jobs."""

    name: str
    """In addresses."""
    permission: str
    """The part of the permission's name before the model's."""
    label: str
    """On buttons: a verb in the imperative."""
    done: str
    """What was done, in messages and histories; ``{}`` is the value of the form."""
    effect: str
    """What it does, on the page of confirmation."""
    skips: str
    """Which jobs it leaves as they are."""
    asked: str = ""
    """What was done to a running job, if that is less: only its worker can end it."""
    statuses: frozenset[JobStatus]
    """Of the jobs whose page offers it."""
    able: Callable[[QuerySet[Any]], QuerySet[Any]]
    """Those of the jobs that it changes."""
    apply: Callable[..., Any]
    """Called with the jobs, and with the values of the form by name."""
    form: type[forms.Form] | None = None
    preposition: str = ""
    """Between the label and what it is done to."""
    in_order_only: bool = False
    """Whether it is about jobs of a strict order alone."""
    is_confirmed: bool = False
    """Whether it is confirmed for one job too; one with a form always is."""
    action_flag: int = CHANGE

    def sentence(self, options: Options) -> str:
        """Return what was done with these values, without a full stop."""
        return self.done.format(*map(_shown, options.values()))

    @property
    def asks(self) -> bool:
        """Whether a page asks for confirmation first."""
        return self.is_confirmed or self.form is not None


def _shown(value: Any) -> str:
    return moment(value) if isinstance(value, datetime) else str(value)
