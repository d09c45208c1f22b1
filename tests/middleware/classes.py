"""Middleware of the tests, right and wrong. What it does and sees is kept in ``SEEN``."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pleme_redis_django.exceptions import Discard, JobTimeout, ProviderError
from tests.waiting import INTERVAL_SECONDS

SEEN: list[Any] = []
STARTED: list[str] = []


class Nothing:
    """Passes everything on."""

    reads_metadata = False

    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(request)

    def attempt(self, call_next: Any, context: Any) -> Any:
        return call_next(context)

    async def aattempt(self, call_next: Any, context: Any) -> Any:
        return await call_next(context)


class _Noting:
    name = ""

    def enqueue(self, call_next: Any, request: Any) -> Any:
        SEEN.append(f"{self.name} enqueues")
        result = call_next(request)
        SEEN.append(f"{self.name} has enqueued")
        return result

    def attempt(self, call_next: Any, context: Any) -> Any:
        SEEN.append(f"{self.name} begins")
        result = call_next(context)
        SEEN.append(f"{self.name} ends with {result}")
        return result

    async def aattempt(self, call_next: Any, context: Any) -> Any:
        SEEN.append(f"{self.name} begins")
        result = await call_next(context)
        SEEN.append(f"{self.name} ends with {result}")
        return result


class Outer(_Noting):
    name = "outer"


class Inner(_Noting):
    name = "inner"


class Changing:
    """Changes whatever may be changed."""

    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(
            request.with_metadata(shop="north").replace(
                parameters={**request.parameters, "left": request.parameters["left"] + 1},
                queue_name="mail",
                priority=7,
                product="lilith",
                max_retries=1,
            )
        )

    def attempt(self, call_next: Any, context: Any) -> Any:
        SEEN.append(dict(context.job.metadata))
        context.parameters = {**context.parameters, "right": 100}
        return call_next(context) + 1000

    async def aattempt(self, call_next: Any, context: Any) -> Any:
        SEEN.append(dict(context.job.metadata))
        context.parameters = {**context.parameters, "right": 100}
        return await call_next(context) + 1000


class NextDay:
    """Changes a parameter in its stored form."""

    day = "20260201"

    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(request.replace(parameters={**request.parameters, "day": self.day}))


class NoDay(NextDay):
    day = "tomorrow"


class AsyncEnqueue:
    async def enqueue(self, call_next: Any, request: Any) -> Any:
        await asyncio.sleep(0)
        return await call_next(request.with_metadata(asynchronous=True))


class AsyncEnqueueWithoutAwait:
    async def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(request)


class ShopOfTheParameters:
    """Gives each job of one call metadata of its own."""

    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(request.with_metadata(parity=request.parameters["left"] % 2))


class ChangesDeepMetadata:
    """Changes what is in an entry of metadata where it is, and passes the request on as it was."""

    def enqueue(self, call_next: Any, request: Any) -> Any:
        request.metadata["order"]["seen"] = True
        return call_next(request)


class SaysPriorityAsTruth:
    """Sets a priority that equals the one before, but is not a number."""

    def enqueue(self, call_next: Any, request: Any) -> Any:
        assert request.priority == 1
        return call_next(request.replace(priority=True))


class KeyOfTheLeft:
    """Jobs are equal when their left operands are."""

    def enqueue(self, call_next: Any, request: Any) -> Any:
        SEEN.append(request.is_unique)
        return call_next(request.replace(unique_key=f"left {request.parameters['left']}"))


class ForgetsEnqueue:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        return request


class ReturnsNothing:
    def enqueue(self, call_next: Any, request: Any) -> None:
        call_next(request)


class EnqueuesTwice:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        call_next(request)
        return call_next(request)


class PassesNone:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(None)

    def attempt(self, call_next: Any, context: Any) -> Any:
        return call_next(None)

    async def aattempt(self, call_next: Any, context: Any) -> Any:
        return await call_next(None)


class RefusesEnqueues:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        raise PermissionError("not from here")


class WrongParameters:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(request.replace(parameters={"lefty": 1}))


class ParametersThatAreNoJson:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(request.replace(parameters={**request.parameters, "left": {1, 2}}))


class ParametersThatAreNoDict:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(request.replace(parameters=[1, 2]))


class MetadataThatAreNoJson:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(request.with_metadata(when=object()))


class WrongProduct:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(request.replace(product="Not A Product"))


class ChangesTheType:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(request.replace(job_type="another"))


class WritesInPlace:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        request.metadata["shop"] = "north"
        return call_next(request)


class Seals:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(request).seal({"sealed": True})


class SealsTooEarly:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(request.seal({"sealed": True}))


class ChangesLate:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        result = call_next(request)
        return result.replace(parameters={**result.parameters, "left": 0})


class SeesParameters:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        SEEN.append(dict(request.parameters))
        return call_next(request)

    def attempt(self, call_next: Any, context: Any) -> Any:
        SEEN.append(dict(context.parameters))
        return call_next(context)

    async def aattempt(self, call_next: Any, context: Any) -> Any:
        return await call_next(context)


class SpoilsTheAmount:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        return call_next(request.replace(parameters={**request.parameters, "amount": "much"}))


class Raises:
    def attempt(self, call_next: Any, context: Any) -> Any:
        raise ProviderError("the tenant is away")

    async def aattempt(self, call_next: Any, context: Any) -> Any:
        raise ProviderError("the tenant is away")


class Drops:
    def attempt(self, call_next: Any, context: Any) -> Any:
        raise Discard("nobody needs it")

    async def aattempt(self, call_next: Any, context: Any) -> Any:
        raise Discard("nobody needs it")


class Forgets:
    def attempt(self, call_next: Any, context: Any) -> Any:
        return None

    async def aattempt(self, call_next: Any, context: Any) -> Any:
        return None


class ForgetsToAwait:
    def attempt(self, call_next: Any, context: Any) -> Any:
        return call_next(context)

    async def aattempt(self, call_next: Any, context: Any) -> Any:
        return call_next(context)


class CallsTwice:
    def attempt(self, call_next: Any, context: Any) -> Any:
        call_next(context)
        return call_next(context)

    async def aattempt(self, call_next: Any, context: Any) -> Any:
        await call_next(context)
        return await call_next(context)


class Slow:
    """Sleeps before the handler, until the attempt's time is over."""

    def attempt(self, call_next: Any, context: Any) -> Any:
        try:
            while True:
                time.sleep(INTERVAL_SECONDS)
        except JobTimeout:
            SEEN.append("timed out in the middleware")
            raise

    async def aattempt(self, call_next: Any, context: Any) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            SEEN.append("timed out in the middleware")
            raise


class SyncAlone:
    def attempt(self, call_next: Any, context: Any) -> Any:
        return call_next(context)


class AsyncAlone:
    async def attempt(self, call_next: Any, context: Any) -> Any:
        return await call_next(context)


# What loading refuses.


def a_function(call_next: Any, value: Any) -> Any:
    return call_next(value)


class NeedsArguments:
    def __init__(self, shop: str) -> None:
        self.shop = shop

    enqueue = Nothing.enqueue


class BreaksWhenBuilt:
    def __init__(self) -> None:
        raise LookupError("no such tenant")


class HasNoMethod:
    def around(self, call_next: Any, context: Any) -> Any:
        return call_next(context)


class TakesOne:
    def attempt(self, context: Any) -> Any:
        return None


class IsAGenerator:
    def attempt(self, call_next: Any, context: Any) -> Any:
        yield call_next(context)


class SyncAattempt:
    def aattempt(self, call_next: Any, context: Any) -> Any:
        return call_next(context)


class TwiceAsync:
    attempt = AsyncAlone.attempt
    aattempt = AsyncAlone.attempt


def paths(*kinds: type) -> list[str]:
    """Return what the setting lists for these classes."""
    return [f"{kind.__module__}.{kind.__qualname__}" for kind in kinds]
