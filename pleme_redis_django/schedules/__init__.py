"""Schedules as rows: what is declared and edited, what is due, and each tick fired once."""

from pleme_redis_django.schedules.controls import (
    apause_schedule,
    aresume_schedule,
    asave_schedule,
    pause_schedule,
    resume_schedule,
    save_schedule,
)
from pleme_redis_django.schedules.firing import arun_schedule_now, run_schedule_now

__all__ = [
    "apause_schedule",
    "aresume_schedule",
    "arun_schedule_now",
    "asave_schedule",
    "pause_schedule",
    "resume_schedule",
    "run_schedule_now",
    "save_schedule",
]
