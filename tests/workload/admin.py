"""The suite's own job model in the admin, as a project would register it."""

from __future__ import annotations

from django.contrib import admin

from pleme_redis_django.admin import JobModelAdmin
from tests.workload.models import EmailJob

admin.site.register(EmailJob, JobModelAdmin)
