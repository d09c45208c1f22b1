"""What the tests of stored retry rules name by their dotted paths."""

from __future__ import annotations

from shutil import rmtree as borrowed

from pleme_redis_django import job

__all__ = ["borrowed"]


class Busy(Exception):
    """Of a service."""


class VeryBusy(Busy):
    """Of the same service."""


class Service:
    class Refused(Exception):
        """In a class, as DoesNotExist of a model is."""

    @staticmethod
    def delay(retry: int, error: BaseException) -> float:
        return 1.0


def patient(retry: int, error: BaseException) -> float:
    """Wait a hundred seconds for each retry."""
    return 100.0 * retry


def slow(retry: int, error: BaseException) -> float:
    return 500.0


async def eager(retry: int, error: BaseException) -> float:
    return 0.0


ERRORS: dict[str, type[Exception]] = {
    "busy": Busy,
    "very busy": VeryBusy,
    "refused": Service.Refused,
    "key": KeyError,
    "value": ValueError,
}


@job(max_retries=5)
def fail(kind: str) -> None:
    raise ERRORS[kind](kind)


@job(max_retries=5, retry_delay=slow, no_retry_on=[KeyError], retry_on=[PermissionError])
def fail_by_its_own_rules(kind: str) -> None:
    raise ERRORS[kind](kind)
