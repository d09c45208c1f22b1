"""How worker processes log beside what the project has configured: nothing lost, nothing twice."""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pleme_redis_django.event_log import EngineEvents
from pleme_redis_django.jobs.interface.endings import Failed
from pleme_redis_django.jobs.interface.events import JobEnded
from pleme_redis_django.jobs.interface.failures import failure_of
from pleme_redis_django.jobs.interface.job import JobClaim
from pleme_redis_django.management.runworkers.log_output import log_to_stdout
from pleme_redis_django.testing import MemoryJob

NAME = "pleme_redis_django"
engine = logging.getLogger(f"{NAME}.jobs")


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    known = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    disabled = {one: one.disabled for one in known}
    before = [
        (one, one.handlers[:], one.level, one.propagate)
        for one in (logging.root, logging.getLogger(NAME), engine)
    ]
    filters = [(handler, handler.filters[:]) for handler in logging.root.handlers]
    yield
    for one, was_disabled in disabled.items():
        one.disabled = was_disabled
    for handler, of_handler in filters:
        handler.filters = of_handler
    for one, handlers, level, propagate in before:
        for handler in set(one.handlers) - set(handlers):
            handler.close()
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)


def configure(file: Path, root: dict[str, Any], **loggers: dict[str, Any]) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
                "file": {"class": "logging.FileHandler", "filename": str(file)},
            },
            "root": root,
            "loggers": {name.replace("__", "."): entry for name, entry in loggers.items()},
        }
    )


def test_handlers_of_the_project_get_what_they_are_configured_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "project.log"
    configure(file, {"handlers": ["console"]}, pleme_redis_django={"handlers": ["file"], "level": "WARNING"})
    log_to_stdout("text", 1)
    engine.info("worker started")
    engine.error("job failed")
    assert file.read_text() == "job failed\n"
    assert [line.split(maxsplit=3)[-1] for line in capsys.readouterr().out.splitlines()] == [
        "INFO worker started",
        "ERROR job failed",
    ]


def test_handlers_of_the_root_get_them_too_and_a_console_none_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "project.log"
    configure(file, {"handlers": ["console", "file"], "level": "INFO"})
    log_to_stdout("text", 0)
    engine.info("worker started")
    engine.error("job failed")
    logging.getLogger("shop").info("of the project")
    assert file.read_text() == "worker started\njob failed\nof the project\n"
    shown = capsys.readouterr().out
    assert shown.count("job failed") == 1
    assert "worker started" not in shown, "--verbosity 0"
    assert "of the project" in shown


def test_what_does_not_go_up_is_shown_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "project.log"
    configure(file, {"handlers": []}, pleme_redis_django__jobs={"handlers": ["file"], "propagate": False})
    log_to_stdout("json", 1)
    engine.error("job failed")
    assert file.read_text() == "job failed\n"
    assert json.loads(capsys.readouterr().out)["event"] == "job failed"


def test_loggers_that_the_settings_have_imported_are_not_silenced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With Django's default, ``disable_existing_loggers``, of a settings module that imports this package."""
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
    assert engine.disabled
    log_to_stdout("text", 1)
    engine.error("job failed")
    assert "job failed" in capsys.readouterr().out


def test_a_formatter_that_writes_every_attribute_gives_no_message_away() -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    engine.addHandler(handler)
    try:
        raise ValueError("a secret message")
    except ValueError as error:
        failure = failure_of(error, "shop.jobs.charge")
    job = MemoryJob(job_type="shop.jobs.charge")
    ending = Failed(job_id=job.id, claim=JobClaim(worker_id="w", attempt=1), failure=failure)
    EngineEvents().emit(JobEnded(job, ending))
    [record] = records
    assert "secret" not in json.dumps(vars(record), default=str)
    assert "secret" not in repr(vars(record))
    assert "secret" in record.pleme_failure.text()
    assert failure.exception is not None, "what a receiver of job_failed passes on to an error tracker"
