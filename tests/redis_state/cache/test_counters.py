from __future__ import annotations

from pleme_redis_django import CacheManager
from tests.redis_state.conftest import CallTwin


async def test_hits_misses_and_bytes_are_counted_per_product(call_twin: CallTwin, alias: str) -> None:
    cache, other = CacheManager("counted", alias=alias), CacheManager("counted-2", alias=alias)
    before = await call_twin(cache.stats)
    await call_twin(cache.set, "a", "x" * 100, 300)
    await call_twin(cache.get_many, ["a", "b", "c"])
    await call_twin(cache.get, "a")
    await call_twin(other.get, "a")
    stats = await call_twin(cache.stats)
    assert (stats.hits - before.hits, stats.misses - before.misses) == (2, 2)
    assert stats.writes - before.writes == 1
    assert stats.bytes_read - before.bytes_read > 200 < stats.bytes_written * 2
    assert stats.hit_rate is not None and 0 < stats.hit_rate < 1
