"""Schedule and ScheduleTick: what is to be enqueued by the clock, and what became of each tick."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from pleme_redis_django.jobs.definitions.cron_expression import CRON_MAX_LENGTH, TIMEZONE_MAX_LENGTH
from pleme_redis_django.jobs.definitions.schedule_values import (
    DEFAULT_CATCH_UP_LIMIT,
    INTERVALS,
    SCHEDULE_NAME_MAX_LENGTH,
    CatchUp,
    Overlap,
)

# The rows that may fire: the condition of the index, and of the query for what is due.
FIRING_CONDITION = Q(enabled=True, paused_at=None, next_tick_at__isnull=False)


class ScheduleSource(models.TextChoices):
    """Who says what a schedule is."""

    CODE = "code", "code"
    ADMIN = "admin", "admin"


class TickOutcome(models.TextChoices):
    """What became of a tick."""

    ENQUEUED = "enqueued", "enqueued"
    KEPT = "kept", "a job with the same unique key was there"
    WAITING = "waiting", "waits for the end of the previous job"
    OVERLAP = "overlap", "skipped: the previous job had not ended"
    MISSED = "missed", "missed: no worker could fire it in time"
    PAUSED = "paused", "skipped: paused"
    DISABLED = "disabled", "failed: the schedule was disabled"
    RUN_NOW = "run_now", "run now"


class Schedule(models.Model):
    """A job type with its parameters, and when to enqueue it: a row declared in code, or made in the admin."""

    product = models.CharField(max_length=50)
    name = models.CharField(max_length=SCHEDULE_NAME_MAX_LENGTH, help_text="Unique in the product.")
    source = models.CharField(
        max_length=10, choices=ScheduleSource.choices, default=ScheduleSource.ADMIN, editable=False
    )
    job_type = models.CharField(max_length=200)
    parameters = models.JSONField(default=dict, blank=True, help_text="What the job is called with.")
    queue_name = models.CharField(max_length=64, blank=True, default="", help_text="Empty: the job's own.")
    priority = models.SmallIntegerField(null=True, blank=True, help_text="Empty: the job's own.")

    cron = models.CharField(
        max_length=CRON_MAX_LENGTH, blank=True, default="", help_text="Minute hour day month weekday."
    )
    interval_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="In place of cron.")
    timezone = models.CharField(
        max_length=TIMEZONE_MAX_LENGTH, default="UTC", help_text='As "Europe/Berlin".'
    )
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    jitter_seconds = models.PositiveIntegerField(
        default=0, help_text="Each job starts so much later at most."
    )
    catch_up = models.CharField(
        max_length=10,
        choices=[(choice.value, choice.value) for choice in CatchUp],
        default=CatchUp.SKIP.value,
        help_text="What becomes of ticks that no worker could fire in time.",
    )
    catch_up_limit = models.PositiveIntegerField(default=DEFAULT_CATCH_UP_LIMIT, help_text='Of "all".')
    overlap = models.CharField(
        max_length=10,
        choices=[(choice.value, choice.value) for choice in Overlap],
        default=Overlap.SKIP.value,
        help_text="What becomes of a tick whose previous job has not ended.",
    )

    enabled = models.BooleanField(default=True, editable=False, help_text="Off: it could not be read.")
    disabled_reason = models.TextField(blank=True, default="", editable=False)
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_by = models.CharField(max_length=150, blank=True, default="", editable=False)
    pause_reason = models.TextField(blank=True, default="", editable=False)

    next_tick_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="NULL: it has no tick any more."
    )
    last_tick_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_job_id = models.UUIDField(null=True, blank=True, editable=False)
    waiting_tick_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="The tick that waits for the previous job's end."
    )
    digest = models.CharField(
        max_length=32, blank=True, default="", editable=False, help_text="Of what the code declares."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        default_permissions = ("add", "change", "delete", "view", "run", "pause")
        verbose_name = "schedule"
        verbose_name_plural = "schedules"
        constraints = [
            models.UniqueConstraint(fields=["product", "name"], name="pleme_schedule_name_once"),
            # A row with both, or with an interval out of range, is refused whatever writes it.
            models.CheckConstraint(
                condition=Q(cron="", interval_seconds__range=(INTERVALS.low, INTERVALS.high))
                | (~Q(cron="") & Q(interval_seconds=None)),
                name="pleme_schedule_cron_or_interval",
                violation_error_message=(
                    "A schedule has either a cron expression, or an interval of 1 to 31,622,400 seconds, and just one "
                    "of them."
                ),
            ),
        ]
        indexes = [
            models.Index(fields=["next_tick_at"], condition=FIRING_CONDITION, name="pleme_schedule_due"),
            models.Index(fields=["name"], condition=Q(enabled=False), name="pleme_schedule_disabled"),
            models.Index(
                fields=["waiting_tick_at"],
                condition=Q(waiting_tick_at__isnull=False),
                name="pleme_schedule_waiting",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ScheduleTick(models.Model):
    """One tick of a schedule, fired once in the cluster: the job that it made, or why there is none."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="ticks")
    tick_at = models.DateTimeField()
    outcome = models.CharField(max_length=10, choices=TickOutcome.choices)
    job_id = models.UUIDField(null=True, blank=True)
    passed_over = models.PositiveIntegerField(
        default=0, help_text="How many ticks before it made no job either, or a thousand of more."
    )
    note = models.CharField(max_length=300, blank=True, default="")
    fired_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ("view",)
        verbose_name = "schedule tick"
        verbose_name_plural = "schedule ticks"
        constraints = [
            models.UniqueConstraint(fields=["schedule", "tick_at"], name="pleme_schedule_tick_once")
        ]
        indexes = [
            models.Index(
                fields=["job_id"], condition=Q(job_id__isnull=False), name="pleme_schedule_tick_job"
            ),
            models.Index(fields=["fired_at"], name="pleme_schedule_tick_age"),
        ]

    def __str__(self) -> str:
        return f"{self.tick_at:%Y-%m-%d %H:%M:%S}: {self.outcome}"
