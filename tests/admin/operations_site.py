"""URLs with an AdminSite of a project's own, beside which there is no other."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.urls import path

from pleme_redis_django.admin import DashboardAdmin, JobModelAdmin
from pleme_redis_django.models import Dashboard, Job

site = AdminSite(name="operations")
site.register(Dashboard, DashboardAdmin)
site.register(Job, JobModelAdmin)

urlpatterns = [path("ops/", site.urls)]
