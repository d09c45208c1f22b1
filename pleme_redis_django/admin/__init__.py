"""The admin: the jobs dashboard, jobs, schedules, failed attempts and worker processes.

Only schedules that people make are edited; all other rows are read-only.

A project registers its own job model with ``JobModelAdmin``.
"""

from __future__ import annotations

from django.contrib import admin

from pleme_redis_django.admin.dashboard.dashboard_admin import DashboardAdmin
from pleme_redis_django.admin.job_model_admin import JobModelAdmin
from pleme_redis_django.admin.record_admins import JobAttemptAdmin, WorkerProcessAdmin
from pleme_redis_django.admin.schedule_admin import ScheduleAdmin
from pleme_redis_django.models import Dashboard, Job, JobAttempt, Schedule, WorkerProcess

__all__ = ["DashboardAdmin", "JobAttemptAdmin", "JobModelAdmin", "ScheduleAdmin", "WorkerProcessAdmin"]

admin.site.register(Dashboard, DashboardAdmin)
admin.site.register(Job, JobModelAdmin)
admin.site.register(JobAttempt, JobAttemptAdmin)
admin.site.register(Schedule, ScheduleAdmin)
admin.site.register(WorkerProcess, WorkerProcessAdmin)
