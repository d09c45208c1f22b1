"""The forms of operations that need a value: a time, a priority, a queue."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from pleme_redis_django.enqueueing.due_times import checked_run_after
from pleme_redis_django.exceptions import EnqueueError, InvalidName
from pleme_redis_django.jobs.interface.job import PRIORITY_HIGH, PRIORITY_LOW
from pleme_redis_django.jobs.interface.queue_names import validate_queue_name

_LOCAL_TIME = "%Y-%m-%dT%H:%M"


def _in_an_hour() -> Any:
    at = timezone.now() + timedelta(hours=1)
    return timezone.localtime(at) if timezone.is_aware(at) else at


class RescheduleForm(forms.Form):
    """When the jobs are due."""

    run_after = forms.DateTimeField(
        label="Due at",
        initial=_in_an_hour,
        input_formats=[_LOCAL_TIME, f"{_LOCAL_TIME}:%S"],
        widget=forms.DateTimeInput(format=_LOCAL_TIME, attrs={"type": "datetime-local"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = timezone.get_current_timezone_name()
        self.fields["run_after"].help_text = f"In the time zone {zone}. A past time makes them ready at once."

    def clean_run_after(self) -> datetime:
        run_after: datetime = self.cleaned_data["run_after"]
        try:
            checked_run_after(run_after)
        except EnqueueError as error:
            raise ValidationError(str(error)) from None
        return run_after


class PriorityForm(forms.Form):
    """The priority that the jobs get."""

    priority = forms.IntegerField(
        initial=0,
        min_value=PRIORITY_LOW,
        max_value=PRIORITY_HIGH,
        help_text=f"{PRIORITY_LOW} to {PRIORITY_HIGH}; higher runs first.",
    )


class QueueForm(forms.Form):
    """The queue that the jobs move to."""

    queue_name = forms.CharField(
        label="Queue", max_length=64, help_text="The jobs wait unless a worker serves this queue."
    )

    def clean_queue_name(self) -> str:
        try:
            return validate_queue_name(self.cleaned_data["queue_name"])
        except InvalidName as error:
            raise ValidationError(str(error)) from error
