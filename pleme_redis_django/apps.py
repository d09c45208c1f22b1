"""The AppConfig: registers the checks, binds enqueueing and the dialects, finds every installed app's jobs.py."""

from __future__ import annotations

import sys
from importlib import import_module
from types import FrameType
from typing import Any

from django.apps import AppConfig, apps
from django.core.management import ManagementUtility
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class PlemeRedisDjangoConfig(AppConfig):
    name = "pleme_redis_django"
    verbose_name = "Jobs and realtime"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from pleme_redis_django import checks
        from pleme_redis_django.conf import get_settings
        from pleme_redis_django.enqueueing.awaiting import JobWaiter
        from pleme_redis_django.enqueueing.due_times import zone_of_naive
        from pleme_redis_django.enqueueing.enqueuer import OrmEnqueuer
        from pleme_redis_django.exceptions import InvalidSettings
        from pleme_redis_django.jobs.definitions.codecs.moments import bind_zone_of_naive
        from pleme_redis_django.jobs.definitions.definition import bind_enqueuer
        from pleme_redis_django.jobs.interface.context import bind_guard
        from pleme_redis_django.models.job import bind_waiter
        from pleme_redis_django.orm_store.attempt_guard import AttemptGuard
        from pleme_redis_django.orm_store.dialects import portable
        from pleme_redis_django.orm_store.dialects.dialect import bind_dialects
        from pleme_redis_django.orm_store.dialects.postgresql import dialect as postgresql
        from pleme_redis_django.orm_store.flow.control import let_in_after
        from pleme_redis_django.orm_store.flow.left_places import bind_flow_control
        from pleme_redis_django.tasks_backend.use import begin as begin_with_tasks

        checks.register_all()
        post_migrate.connect(make_fair_indexes, sender=self, dispatch_uid="pleme_redis_django.fair_indexes")
        bind_dialects({"postgresql": postgresql}, portable)
        bind_flow_control(let_in_after)
        bind_enqueuer(OrmEnqueuer())
        bind_guard(AttemptGuard)
        bind_waiter(JobWaiter())
        bind_zone_of_naive(zone_of_naive)
        try:
            settings = get_settings()
        except InvalidSettings:
            if is_command():
                return  # Check E001 says the same in one line, and stops what runs the checks.
            raise
        autodiscover_modules("jobs")
        begin_with_tasks()
        if settings.url is not None:
            prepare_redis()
        if settings.job_events:
            from pleme_redis_django.realtime.job_events import JobEvents

            JobEvents().connect()


def make_fair_indexes(**signal: Any) -> None:
    """Make the indexes that fair pools read, once the tables are migrated."""
    from pleme_redis_django import fair_indexes

    fair_indexes.make_fair_indexes(**signal)


def prepare_redis() -> None:
    """Import what needs redis, which costs 7 MiB and a tenth of a second: a project without Redis is spared both.

    Here, since the first enqueue of a process would have to wait for it.
    """
    import_module("pleme_redis_django.redis_state.wakeups.redis_hints")
    if apps.is_installed("django.contrib.auth"):
        from pleme_redis_django.realtime.user_changes import connect_receivers

        connect_receivers()


def is_command() -> bool:
    """Whether Django is being set up for a management command, so that the checks still come."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not ManagementUtility.execute.__code__:
        frame = frame.f_back
    return frame is not None
