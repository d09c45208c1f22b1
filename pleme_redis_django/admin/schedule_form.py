"""ScheduleForm: a schedule that people make, checked as its turn will check it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings as django_settings
from django.core.exceptions import ValidationError

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import InvalidParameters, InvalidProduct, UnknownJobType
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.models import Schedule
from pleme_redis_django.schedules.reading import UNREADABLE, read_schedule

# Generic for the type checker alone: Django's is not, when it runs.
if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Schedule]
else:
    _ModelForm = forms.ModelForm

CALL = ("product", "name", "job_type", "parameters")
TIMING = ("cron", "interval_seconds", "timezone", "starts_at", "ends_at", "jitter_seconds")
POLICIES = ("catch_up", "catch_up_limit", "overlap")
OF_JOBS = ("queue_name", "priority")
EDITED_FIELDS = (*CALL, *TIMING, *POLICIES, *OF_JOBS)
# How a refusal begins, and the field that it is about; one that is about none of them stands above the form.
_FIELDS_BY_WORDS = {
    "The cron expression": "cron",
    "The interval": "interval_seconds",
    "The zone": "timezone",
    "A schedule's name": "name",
    "The schedule ends": "ends_at",
}


class ScheduleForm(_ModelForm):
    """``scope``: the products that its user may make schedules of."""

    scope: ProductScope = EVERY_PRODUCT

    class Meta:
        model = Schedule
        fields = EDITED_FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "job_type" in self.fields:
            self.fields["job_type"] = _job_type_field(self.instance.job_type)
        if not self.instance.pk and "product" in self.fields:
            self.fields["product"].initial = get_settings().product
            self.fields["timezone"].initial = django_settings.TIME_ZONE

    def clean_product(self) -> str:
        product = str(self.cleaned_data["product"])
        if not self.scope.allows(product):
            allowed = ", ".join(sorted(self.scope.products or ())) or "none"
            raise ValidationError(f"{product} is not one of your products. Accepted: {allowed}.")
        return product

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # of BaseModelForm, which the stubs leave out
        if self.errors:
            return
        try:
            read_schedule(self.instance)
        except UNREADABLE as error:
            self.add_error(_field_of(error), str(error))


def _job_type_field(current: str) -> forms.ChoiceField:
    """Return the choice among the jobs that this code knows; what is chosen now stays, though it be gone."""
    known = sorted(definition.name for definition in registry)
    choices = [(name, name) for name in known]
    if current and current not in known:
        choices.append((current, f"{current} (not known to this code)"))
    return forms.ChoiceField(choices=[("", "---------"), *choices], help_text="A job of this code.")


def _field_of(error: Exception) -> str | None:
    if isinstance(error, InvalidProduct):
        return "product"
    if isinstance(error, UnknownJobType):
        return "job_type"
    if isinstance(error, InvalidParameters):
        return "parameters"
    text = str(error)
    for beginning, field in _FIELDS_BY_WORDS.items():
        if text.startswith(beginning):
            return field
    return next((name for name in EDITED_FIELDS if text.startswith(f"{name} is")), None)
