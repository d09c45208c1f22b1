"""Its rows: a view of this package's jobs with the filters that its suite asks for."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from pleme_redis_django.models import Job

get_date_max = None
_READY = Q(status="QUEUED") | Q(status="PENDING", run_after__lte=Now())


class Rows(QuerySet):
    """The jobs that its suite counts."""

    def ready(self) -> QuerySet:
        return self.filter(_READY)

    def successful(self) -> QuerySet:
        return self.filter(status="COMPLETED")

    def failed(self) -> QuerySet:
        return self.filter(status="FAILED")


class DBTaskResult:
    """In the place of its model."""

    objects = Rows(Job)
    _meta = Job._meta
