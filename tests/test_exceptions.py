"""The error tree is whole: no module raises a class of its own that leaves the package."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pleme_redis_django
from pleme_redis_django.exceptions import PlemeError

STAYS_WITHIN = {
    "CommandRefused",  # answered on the socket
    "ReadTookTooLong",  # said in place of what was not read
    "BadMessage",  # between a worker process and the process of an isolated attempt
    "ChannelClosed",
    "ProcessDied",
    "CannotMove",  # a line of the report of adopttasks
    "CannotExpress",  # a line of the report of importschedules
    "NotNeeded",
    "Mismatch",  # becomes InvalidParameters or InvalidResult
    "Unsupported",  # becomes InvalidJobDefinition
    "UnreadableRelease",  # becomes a CommandError
    "SearchError",  # shown beside the search
    "SearchTookTooLong",  # shown instead of the list
    "SessionsAway",  # close codes
    "TooManyHandshakes",
}
OTHERS_KINDS = {
    "ServerRefuses",  # redis-py's own, in between: a reply of the server that it has no class for
    "NotPrimary",
    "CommandFailed",  # of the test kit: assertions
    "SocketClosed",
}
# A BaseException: an "except Exception" in a handler must not catch it.
INTERRUPTS = {"JobTimeout"}


def own_exceptions() -> Iterator[type[BaseException]]:
    prefix = f"{pleme_redis_django.__name__}."
    for found in pkgutil.walk_packages(pleme_redis_django.__path__, prefix):
        if ".migrations." in found.name:
            continue
        module = importlib.import_module(found.name)
        for kind in vars(module).values():
            is_own = isinstance(kind, type) and kind.__module__ == module.__name__
            if is_own and issubclass(kind, BaseException) and not kind.__name__.startswith("_"):
                yield kind


def test_every_exception_that_leaves_the_package_is_in_the_tree() -> None:
    elsewhere = {kind for kind in own_exceptions() if kind.__module__ != PlemeError.__module__}
    assert {kind.__name__ for kind in elsewhere} == STAYS_WITHIN | OTHERS_KINDS


def test_every_one_of_ours_is_a_pleme_error() -> None:
    others = {kind.__name__ for kind in own_exceptions() if not issubclass(kind, PlemeError)}
    assert others == OTHERS_KINDS | INTERRUPTS
