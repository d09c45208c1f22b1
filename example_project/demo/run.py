"""The demo's course: set the stage, enqueue, watch, and say how it went."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from example_project.demo.live_view import LiveView
from example_project.demo.report import Run, problems, summary
from example_project.demo.stage import Stage
from example_project.demo.steps import Steps
from example_project.demo.work import Amounts, Customers, enqueue_follow_ups, enqueue_import
from pleme_redis_django import Job

REDRAW_SECONDS = 0.5


def run_once(out: TextIO, amounts: Amounts, *, timeout_seconds: float, data_folder: Path | None) -> int:
    """Do all the work and return 0, or 1 when anything was lost, is stuck or ended wrongly."""
    steps = Steps(out)
    with Stage(steps, web=False, data_folder=data_folder) as stage:
        run = Run.begin(amounts)
        view = LiveView(out)
        deadline = time.monotonic() + timeout_seconds
        _give_work(run, steps, view, stage, deadline, spread=False)
        with steps.step("all jobs ended"):
            _watch(view, stage, deadline, until=lambda: run.unfinished() == 0)
        mail = stage.mail.counts()
        found = problems(run, mail)
        for line in ["", *summary(run, mail), "", *(f"PROBLEM     {problem}" for problem in found)]:
            steps.say(line)
        if found:
            steps.say(stage.workers.log_tail())
    steps.say("All is well." if not found else "Something is wrong: see above.")
    return 1 if found else 0


def run_until_interrupted(out: TextIO, amounts: Amounts, *, data_folder: Path | None) -> int:
    """Set the stage, give work, and show what happens until Ctrl-C."""
    steps = Steps(out)
    with Stage(steps, web=True, data_folder=data_folder) as stage:
        try:
            run = Run.begin(amounts)
            view = LiveView(out)
            _give_work(run, steps, view, stage, deadline=None, spread=True)
            steps.say("          Customers keep ordering. Ctrl-C stops everything.")
            customers = Customers()
            _watch(view, stage, None, until=lambda: False, meanwhile=customers.come_by)
        except KeyboardInterrupt:
            steps.say("\n          Stopping: the workers finish what they have begun ...")
            return 0
        steps.say(f"The workers have ended by themselves. {stage.workers.log_tail()}")
    return 1


def _give_work(
    run: Run, steps: Steps, view: LiveView, stage: Stage, deadline: float | None, *, spread: bool
) -> None:
    imported = enqueue_import(run.amounts)
    with steps.step("catalog imported by a job"):
        _watch(view, stage, deadline, until=lambda: _has_ended(imported))
    with steps.step("jobs enqueued:") as remarks:
        remarks.append(str(enqueue_follow_ups(run.amounts, f"{run.since:%Y%m%dT%H%M%S}", spread=spread)))


def _has_ended(job: Job) -> bool:
    job.refresh_from_db(fields=["status"])
    return job.status not in ("PENDING", "BLOCKED", "QUEUED", "RUNNING")


def _watch(
    view: LiveView,
    stage: Stage,
    deadline: float | None,
    *,
    until: Callable[[], bool],
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Draw until the condition holds, the time is up, or the workers have ended by themselves."""
    while not until() and stage.workers.is_running():
        if deadline is not None and time.monotonic() > deadline:
            break
        meanwhile()
        view.draw()
        time.sleep(REDRAW_SECONDS)
    view.draw()
    view.leave()
