"""The AppConfig: registers the system checks and finds every installed app's jobs."""

from __future__ import annotations

from django.apps import AppConfig


class PlemeRedisDjangoConfig(AppConfig):
    name = "pleme_redis_django"
    verbose_name = "Jobs and realtime"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from pleme_redis_django import checks

        checks.register_all()
