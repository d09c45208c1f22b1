"""URLs with an AdminSite whose dashboard is one of a job table of the project's own."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.urls import path

from pleme_redis_django.admin import DashboardAdmin, JobModelAdmin
from pleme_redis_django.models import Dashboard
from tests.workload.models import EmailJob


class EmailDashboard(DashboardAdmin):
    job_model = EmailJob


site = AdminSite(name="operations")
site.register(Dashboard, EmailDashboard)
site.register(EmailJob, JobModelAdmin)

urlpatterns = [path("ops/", site.urls)]
