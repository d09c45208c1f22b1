"""How the worker processes log: readable lines, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime

LOGGER_NAME = "pleme_redis_django"


class _Formatter(logging.Formatter):
    def __init__(self, *, with_tracebacks: bool = False) -> None:
        super().__init__()
        self._with_tracebacks = with_tracebacks

    def trace(self, record: logging.LogRecord) -> str:
        """Return what was raised: by the engine always, by a handler if it may be shown."""
        if record.exc_info:
            return self.formatException(record.exc_info)
        failure = getattr(record, "pleme_failure", None)
        return failure.text() if failure is not None and self._with_tracebacks else ""


class TextFormatter(_Formatter):
    """``12:00:01 pid 4242 WARNING job failed for good job_id=...``, and a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        line = f"{time} pid {os.getpid()} {record.levelname} {record.getMessage().rstrip()}"
        return f"{line}\n{trace}" if (trace := self.trace(record)) else line


class JsonFormatter(_Formatter):
    """One JSON object a line: time, level, pid, event, and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "pid": os.getpid(),
            "event": getattr(record, "pleme_event", record.getMessage()),
            **getattr(record, "pleme_fields", {}),
        }
        if trace := self.trace(record):
            fields["traceback"] = trace
        return json.dumps(fields, default=str)


def log_to_stdout(log_format: str, verbosity: int, *, with_tracebacks: bool = False) -> None:
    """Send the package's log lines to standard output; verbosity 2 and up shows every job.

    Handlers of the project keep what its LOGGING gives them, except that one that writes to the
    console as well would show each line twice.
    """
    logger = logging.getLogger(LOGGER_NAME)
    as_configured = _AsConfigured(logger.getEffectiveLevel())
    tree = [logger, *_below(logger)]
    for theirs in {handler for one in (*tree, logging.root) for handler in one.handlers}:
        theirs.addFilter(_NotTwice() if _is_console(theirs) else as_configured)
    handler = logging.StreamHandler(sys.stdout)
    formatter = JsonFormatter if log_format == "json" else TextFormatter
    handler.setFormatter(formatter(with_tracebacks=with_tracebacks))
    for one in tree:
        # dictConfig() silences loggers that the settings module itself has brought up by an import.
        one.disabled = False
        # Where the project keeps lines from going up, they pass by this handler only if it is there.
        if one is logger or not one.propagate:
            one.addHandler(handler)
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    handler.setLevel(level)
    logger.setLevel(min(level, as_configured.level))


class _AsConfigured(logging.Filter):
    """Passes what a handler of the project would get at the level that its LOGGING sets."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.level = level

    def filter(self, record: logging.LogRecord) -> bool:
        return not _is_ours(record) or record.levelno >= self.level


class _NotTwice(logging.Filter):
    """Passes what the package's own handler does not show on the same console."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _is_ours(record)


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name == LOGGER_NAME or record.name.startswith(f"{LOGGER_NAME}.")


def _below(logger: logging.Logger) -> list[logging.Logger]:
    known = logging.root.manager.loggerDict
    return [
        one
        for name, one in known.items()
        if name.startswith(f"{logger.name}.") and isinstance(one, logging.Logger)
    ]


def _is_console(handler: logging.Handler) -> bool:
    consoles = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return isinstance(handler, logging.StreamHandler) and handler.stream in consoles
