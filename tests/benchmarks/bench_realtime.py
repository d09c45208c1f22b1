"""Fan-out over websockets: the hub, and Channels groups on both layers of channels_redis, side by side.

The server (uvicorn) is pinned to one core; Redis, the publisher and the sockets to the other.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import redis

from pleme_redis_django.realtime.channel_layer import channel_layer_entry
from pleme_redis_django.testing.servers.managed_server import free_port
from tests.benchmarks.fanout_load import Receiver, Tally, masked, message, request
from tests.benchmarks.redis_calls import count_calls
from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import percentile
from tests.waiting import await_until, wait_until

SOCKETS = (100, 500, 1000)
PAYLOAD = 128
RATE = 1500
"""Deliveries per second at which the arms are compared: all of them can."""
HIGH_RATE = 20_000
SECONDS = 4.0
RAMP = (3000, 5000, 8000, 12_000, 20_000, 30_000, 40_000)
RAMP_SECONDS = 2.5
DRAIN_SECONDS = 15.0
WARM_UPS = 1
SETTLE_SECONDS = 0.3
LOOK_SECONDS = 0.02
RAMP_SOCKETS = 500
P99_LIMIT_SECONDS = 0.1
TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    name: str
    path: str
    layer: str
    subprotocol: str
    hello: str
    ready_marks: tuple[bytes, ...]


CORE, PUBSUB = "channels_redis.core.RedisChannelLayer", "channels_redis.pubsub.RedisPubSubChannelLayer"
HUB = Arm(
    name="hub",
    path="/hub/",
    layer=CORE,
    subprotocol="pleme.v1",
    hello='{"id":1,"connect":{}}\n{"id":2,"sub":{"ch":"bench:*"}}',
    ready_marks=(b"\r\n\r\n", b'"sub"'),
)
ARMS = (
    HUB,
    *(
        Arm(
            name=f"groups on {name}",
            path="/groups/",
            layer=layer,
            subprotocol="",
            hello="",
            ready_marks=(b"ready",),
        )
        for name, layer in (("core", CORE), ("pubsub", PUBSUB))
    ),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One load on one arm."""

    delivered: int
    expected: int
    p50: float
    p99: float
    cpu_seconds: float
    load_cpu: float
    waited: float
    """Part of the time in which the server was ready to run and its core was not its own."""

    @property
    def note(self) -> str:
        """What a delay has to be judged by: on an idle machine the server never waits for its core."""
        return f"the server waited for its core {self.waited:.0%} of the time"


def run(servers: BenchmarkServers) -> list[Row]:
    rows: list[Row] = []
    costs: dict[tuple[str, int], float] = {}
    with _pinned(servers):
        for sockets in SOCKETS:
            for arm in ARMS:
                rows += asyncio.run(_measure(servers, arm, sockets, costs))
    for name in ("core", "pubsub"):
        ratios = [costs[f"groups on {name}", sockets] / costs["hub", sockets] for sockets in SOCKETS]
        for sockets, ratio in zip(SOCKETS, ratios, strict=True):
            rows.append(
                Row(
                    name=f"hub cheaper than groups on {name}, {sockets} sockets",
                    value=ratio,
                    unit="x",
                    target=5,
                )
            )
    return rows


async def _measure(
    servers: BenchmarkServers, arm: Arm, sockets: int, costs: dict[tuple[str, int], float]
) -> list[Row]:
    with _server(servers, arm) as (process, port):
        before = _resident_kib(process.pid)
        tally = Tally()
        transports = await _connect(arm, port, sockets, tally)
        memory = (_resident_kib(process.pid) - before) / sockets
        publish = await _publisher(servers, arm)
        with count_calls(servers.services.redis_url) as calls:
            result = await _load(process.pid, publish, tally, sockets, RATE, SECONDS)
        messages = result.expected / sockets + WARM_UPS
        label = f"{arm.name}, {sockets} sockets"
        cost = 1e6 * result.cpu_seconds / result.delivered
        costs[arm.name, sockets] = cost
        note = f"{RATE} deliveries/s, load {result.load_cpu:.0%} of its core"
        rows = [
            Row(name=f"{label}: CPU per delivery", value=cost, unit="us", note=note),
            Row(name=f"{label}: p99", value=1000 * result.p99, unit="ms", note=result.note),
            Row(name=f"{label}: memory per socket", value=memory, unit="KiB"),
            Row(
                name=f"{label}: Redis calls per message",
                value=calls.with_messages / messages,
                unit="",
                note=f"and {calls.with_time / calls.seconds:.1f} a second, whatever is sent",
            ),
        ]
        if sockets == RAMP_SOCKETS:
            if arm is HUB:
                high = await _load(process.pid, publish, tally, sockets, HIGH_RATE, SECONDS)
                rows.append(
                    Row(
                        name=f"{label}: p99 at 20,000/s",
                        value=1000 * high.p99,
                        unit="ms",
                        target=50,
                        at_least=False,
                        note=high.note,
                    )
                )
            best = await _ramp(process.pid, publish, tally, sockets)
            rows.append(Row(name=f"{label}: most deliveries/s, p99 < 100 ms", value=best, unit="1/s"))
        for transport in transports:
            transport.abort()
        await _close_layer(publish)
    return rows


async def _connect(arm: Arm, port: int, sockets: int, tally: Tally) -> list[Any]:
    loop = asyncio.get_running_loop()
    handshake = request(port, arm.path, arm.subprotocol)
    hello = masked(arm.hello) if arm.hello else b""
    transports = []
    for start in range(0, sockets, 50):
        for _ in range(min(50, sockets - start)):
            transport, _ = await loop.create_connection(
                lambda: Receiver(tally, handshake, hello, list(arm.ready_marks)), "127.0.0.1", port
            )
            transports.append(transport)
        opened = len(transports)
        await await_until(lambda opened=opened: tally.ready >= opened, f"all {opened} sockets are ready")
    return transports


Publish = Callable[[str], Awaitable[Any]]


async def _publisher(servers: BenchmarkServers, arm: Arm) -> Publish:
    if arm is HUB:
        from pleme_redis_django.redis_state.pubsub.manager import PubSubManager

        manager = PubSubManager()
        return lambda text: manager.apublish("bench:1", text)
    module, _, name = arm.layer.rpartition(".")
    entry = channel_layer_entry(servers.services.redis_url, backend=arm.layer)
    layer = getattr(import_module(module), name)(**entry["CONFIG"])
    return lambda text: layer.group_send("bench", {"type": "group.message", "text": text})


async def _close_layer(_publish: Publish) -> None:
    from pleme_redis_django.redis_state.server.connections import close_async_clients

    await close_async_clients()


async def _load(
    pid: int,
    publish: Publish,
    tally: Tally,
    sockets: int,
    rate: float,
    seconds: float,
) -> Run:
    """Publish at an even rate, whatever comes back; the delays count from when a message was due."""
    for _ in range(WARM_UPS):
        await publish("warm up")
    await asyncio.sleep(SETTLE_SECONDS)
    tally.delays.clear()
    cpu, own, begin = _cpu_seconds(pid), time.process_time(), time.monotonic()
    waited = _core_wait_seconds(pid)
    interval = sockets / rate
    count = max(int(seconds / interval), 1)
    for number in range(count):
        due = begin + number * interval
        await asyncio.sleep(max(due - time.monotonic(), 0))
        await publish(message(due, PAYLOAD))
    # What is still on its way has cost CPU already: it has to be counted before the cost is divided.
    deadline = time.monotonic() + DRAIN_SECONDS
    while len(tally.delays) < count * sockets and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
    elapsed = time.monotonic() - begin
    return Run(
        delivered=max(len(tally.delays), 1),
        expected=count * sockets,
        p50=percentile(tally.delays or [9.9], 0.5),
        p99=percentile(tally.delays or [9.9], 0.99),
        cpu_seconds=_cpu_seconds(pid) - cpu,
        load_cpu=(time.process_time() - own) / elapsed,
        waited=(_core_wait_seconds(pid) - waited) / elapsed,
    )


async def _ramp(pid: int, publish: Publish, tally: Tally, sockets: int) -> float:
    best = 0.0
    for rate in RAMP:
        result = await _load(pid, publish, tally, sockets, rate, RAMP_SECONDS)
        if result.delivered < result.expected or result.p99 > P99_LIMIT_SECONDS:
            break
        best = rate
    return best


@contextmanager
def _server(servers: BenchmarkServers, arm: Arm) -> Iterator[tuple[Any, int]]:
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable, "-W", "ignore", "-m", "uvicorn", "tests.benchmarks.fanout_asgi:application",
            "--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "off",
            "--ws-ping-interval", "3600",
        ],
        env={
            **servers.environment,
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.fanout_settings",
            "BENCH_LAYER": arm.layer,
        },
    )  # fmt: skip
    os.sched_setaffinity(process.pid, {0})
    try:
        wait_until(lambda: _accepts(port), "the web server accepts connections")
        yield process, port
    finally:
        process.kill()
        process.wait()


def _accepts(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _pinned(servers: BenchmarkServers) -> Iterator[None]:
    """Keep this process and Redis off the server's core."""
    before = os.sched_getaffinity(0)
    with redis.Redis.from_url(servers.services.redis_url) as client:
        redis_pid = int(client.info("server")["process_id"])
    other = {max(before)}
    os.sched_setaffinity(0, other)
    os.sched_setaffinity(redis_pid, other)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        os.sched_setaffinity(redis_pid, before)


def _cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _core_wait_seconds(pid: int) -> float:
    """Return how long the main thread was ready to run and did not (Linux: Documentation/scheduler/sched-stats)."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as stat:
        return int(stat.read().split()[1]) / 1e9


def _resident_kib(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
