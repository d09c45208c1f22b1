"""Change lists of tables with millions of rows: they count no further than a cap, and sort by id alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.contrib.admin import ModelAdmin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

# Generic for the type checker alone: Django's admin and paginator are not, when they run.
if TYPE_CHECKING:
    _Paginator = Paginator[Any]
    AnyModelAdmin = ModelAdmin[Any]
else:
    _Paginator = Paginator
    AnyModelAdmin = ModelAdmin

COUNT_CAP = 10_000


class CappedCount(int):
    """A count that stopped at the cap: it reads "10,000+"."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


class CappedPaginator(_Paginator):
    """Counts up to ``COUNT_CAP`` rows, in the database; filters reach the rows beyond."""

    @cached_property
    def count(self) -> int:
        """The number of rows, a CappedCount when there are more than the cap."""
        rows: Any = self.object_list
        counted: int = rows.order_by()[: COUNT_CAP + 1].count()
        if counted <= COUNT_CAP:
            return counted
        # Django would group the digits of "10,000+" once more.
        return COUNT_CAP if django_settings.USE_THOUSAND_SEPARATOR else CappedCount(COUNT_CAP)


class CappedChangeList(ChangeList):
    """A change list without the columns that would make each row heavy."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """Return the filtered rows, their long columns deferred."""
        rows = super().get_queryset(request, *args, **kwargs)
        return rows.defer(*getattr(self.model_admin, "heavy_fields", ()))

    def get_results(self, request: HttpRequest) -> None:
        """Count, and look for rows only if there are any: nothing is found no faster the second time."""
        super().get_results(request)
        if not self.result_count:
            self.result_list = self.queryset.none()

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the admin's own ordering, whatever the address says: no other has an index."""
        return list(self.model_admin.get_ordering(request))
