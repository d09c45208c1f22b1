"""The AppConfig: registers the checks, binds enqueueing, finds every installed app's jobs.py."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.utils.module_loading import autodiscover_modules


class PlemeRedisDjangoConfig(AppConfig):
    name = "pleme_redis_django"
    verbose_name = "Jobs and realtime"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from pleme_redis_django import checks
        from pleme_redis_django.conf import get_settings
        from pleme_redis_django.enqueueing.enqueuer import OrmEnqueuer
        from pleme_redis_django.jobs.definition import bind_enqueuer

        get_settings()
        bind_enqueuer(OrmEnqueuer())
        autodiscover_modules("jobs")
        if apps.is_installed("django.contrib.auth"):
            from pleme_redis_django.realtime.user_changes import connect_receivers

            connect_receivers()
        if get_settings().job_events:
            from pleme_redis_django.realtime.job_events import JobEvents

            JobEvents().connect()
        checks.register_all()
