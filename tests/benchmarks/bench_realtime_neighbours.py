"""What hostile neighbours cost the other sockets of a process: one never reads, one floods."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.benchmarks.bench_realtime import (
    HUB,
    Run,
    _close_layer,
    _connect,
    _load,
    _pinned,
    _publisher,
    _resident_kib,
    _server,
)
from tests.benchmarks.fanout_load import Receiver, Tally, masked, request
from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.waiting import await_until

SOCKETS = 200
RATE = 4000
SECONDS = 5.0
FLOOD_INTERVAL_SECONDS = 0.002


def run(servers: BenchmarkServers) -> list[Row]:
    with _pinned(servers):
        return asyncio.run(_measure(servers))


async def _measure(servers: BenchmarkServers) -> list[Row]:
    with _server(servers, HUB) as (process, port):
        tally = Tally()
        transports = await _connect(HUB, port, SOCKETS, tally)
        publish = await _publisher(servers, HUB)

        async def load() -> Run:
            return await _load(process.pid, publish, tally, SOCKETS, RATE, SECONDS)

        alone, memory = await load(), _resident_kib(process.pid)
        stalled = await _neighbour(port)
        stalled.pause_reading()
        with_stalled = await load()
        flooder = await _neighbour(port)
        flood = asyncio.create_task(_flood(flooder))
        with_flood = await load()
        flood.cancel()
        grown = _resident_kib(process.pid) - memory
        for transport in (*transports, stalled, flooder):
            transport.abort()
        await _close_layer(publish)
    note = f"{1000 * alone.p99:.1f} ms without, {SOCKETS} sockets, {RATE} deliveries/s"
    return [
        _ratio("one never reads: p99 of the others", with_stalled, alone, note),
        _ratio("one never reads, one floods: p99 of the others", with_flood, alone, note),
        Row(name="memory grown by both", value=grown / 1024, unit="MiB", target=16, at_least=False),
    ]


def _ratio(name: str, run: Run, alone: Run, note: str) -> Row:
    return Row(name=name, value=run.p99 / alone.p99, unit="x", target=2, at_least=False, note=note)


async def _neighbour(port: int) -> Any:
    tally = Tally()
    transport, _ = await asyncio.get_running_loop().create_connection(
        lambda: Receiver(
            tally, request(port, HUB.path, HUB.subprotocol), masked(HUB.hello), list(HUB.ready_marks)
        ),
        "127.0.0.1",
        port,
    )
    await await_until(lambda: tally.ready, "the socket is ready")
    return transport


async def _flood(transport: Any) -> None:
    command = masked('{"id":7,"unsub":{"ch":"bench:none"}}')
    while not transport.is_closing():
        transport.write(command)
        await asyncio.sleep(FLOOD_INTERVAL_SECONDS)
