"""The servers of one run: the environment's URLs win, and URLs become Django settings."""

from __future__ import annotations

import psycopg
import pytest

from pleme_redis_django.testing.servers import BackingServices, database_settings
from pleme_redis_django.testing.servers.backing_services import redis_url_with_database


def test_urls_of_the_environment_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://someone@db.example/shop")
    monkeypatch.setenv("REDIS_URL", "redis://redis.example:6380/2")
    with BackingServices() as services:
        assert services.postgres is None and services.redis is None
        assert services.given() == {"DATABASE_URL": True, "REDIS_URL": True}
        assert services.redis_url == "redis://redis.example:6380/2"
        assert services.database_settings()["HOST"] == "db.example"


def test_one_of_both_may_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://someone@db.example/shop")
    monkeypatch.delenv("REDIS_URL", raising=False)
    with BackingServices() as services:
        assert services.postgres is None
        assert services.redis is not None and services.redis.is_running()


def test_own_postgres_works_through_its_django_settings(backing_services: BackingServices) -> None:
    entry = backing_services.database_settings()
    with psycopg.connect(
        host=entry["HOST"],
        port=entry["PORT"],
        user=entry["USER"],
        dbname=entry["NAME"],
        password=entry["PASSWORD"],
    ) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        (
            "postgresql://ann:p%40ss@db.example:6543/shop?sslmode=require",
            {"NAME": "shop", "USER": "ann", "PASSWORD": "p@ss", "HOST": "db.example", "PORT": "6543",
             "OPTIONS": {"sslmode": "require"}},
        ),
        (
            "postgresql://ann@%2Frun%2Fpg/shop",
            {"NAME": "shop", "USER": "ann", "PASSWORD": "", "HOST": "/run/pg", "PORT": "", "OPTIONS": {}},
        ),
        ("dbname=shop", {"NAME": "shop", "USER": "", "PASSWORD": "", "HOST": "", "PORT": "", "OPTIONS": {}}),
    ],
)  # fmt: skip
def test_database_url_becomes_a_databases_entry(url: str, entry: dict[str, object]) -> None:
    assert database_settings(url) == {"ENGINE": "django.db.backends.postgresql", **entry}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/1"),
        ("rediss://:secret@redis.example", "rediss://:secret@redis.example/1"),
        ("redis://127.0.0.1:6379/0?db=5&protocol=3", "redis://127.0.0.1:6379/1?protocol=3"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=1"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=1"),
    ],
)
def test_redis_url_with_another_database(url: str, expected: str) -> None:
    assert redis_url_with_database(url, 1) == expected
