"""How a worker process is started: the program, its options and its environment.

Called from the command line, a child runs the same command line again, through the project's own
manage.py. Called by a program (``call_command``), it runs ``python -m django`` with the options of
that call: the program's own command line says something else, and running it again would start
another supervisor.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.management.base import CommandError
from django.utils.autoreload import get_child_arguments

from pleme_redis_django.management.runworkers.agreement import CHILD_VARIABLE
from pleme_redis_django.management.runworkers.options import RunOptions
from pleme_redis_django.management.runworkers.supervisor import ChildCommand

COMMAND_NAME = "runworkers"


def child_command(
    options: RunOptions, arguments: Mapping[str, Any], argv: Sequence[str] | None
) -> ChildCommand:
    """Return the command of a child. ``argv`` is the command line that the command was given, if any.

    Raises CommandError when children cannot be started from here.
    """
    if CHILD_VARIABLE in os.environ:
        raise CommandError(
            f"{sys.argv[0]} was started as a worker process and starts {COMMAND_NAME} again, without the options "
            "that it was given. Pass sys.argv on to execute_from_command_line(), or use call_command()."
        )
    if argv == sys.argv:
        program = [str(part) for part in get_child_arguments()]
        environment = dict(os.environ)
    else:
        program = [*this_python(), "-m", "django", COMMAND_NAME, *_as_arguments(options, arguments)]
        environment = {**os.environ, **settings_environment()}
    return ChildCommand(arguments=tuple(program), environment={**environment, CHILD_VARIABLE: "1"})


def this_python() -> list[str]:
    """Return the interpreter of this process, with its options."""
    options = [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]
    return [sys.executable, *(f"-W{warning}" for warning in sys.warnoptions), *options]


def _as_arguments(options: RunOptions, arguments: Mapping[str, Any]) -> list[str]:
    """Return the command line that says the same as the options of a call."""
    line = ["--log-format", options.log_format, "--release", options.release]
    line += ["--tracebacks", options.tracebacks, "--verbosity", str(arguments["verbosity"])]
    for field, value in options.overrides.items():
        line += ["--" + field.replace("_", "-"), ",".join(value) if field == "queues" else str(value)]
    flags = {
        "--burst": options.burst,
        "--skip-checks": arguments["skip_checks"],
        "--traceback": arguments["traceback"],
        "--no-color": arguments["no_color"],
        "--force-color": arguments["force_color"],
    }
    return line + [flag for flag, is_set in flags.items() if is_set]


def settings_environment() -> dict[str, str]:
    """Return what makes another process find the settings and the modules of this one.

    Raises CommandError when the settings are in no module.
    """
    module = getattr(settings, "SETTINGS_MODULE", None) or os.environ.get(ENVIRONMENT_VARIABLE)
    if not module:
        raise CommandError(
            f"{COMMAND_NAME} starts other processes, and they cannot see what settings.configure() was given here. "
            "Put the settings into a module, and name it in DJANGO_SETTINGS_MODULE."
        )
    return {ENVIRONMENT_VARIABLE: str(module), "PYTHONPATH": os.pathsep.join(_own_paths())}


def _own_paths() -> list[str]:
    """Return where this process imports from, but for the interpreter's own places."""
    own = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths = [str(Path(path).absolute()) for path in sys.path]
    return [path for path in paths if not any(path == one or path.startswith(one + os.sep) for one in own)]
