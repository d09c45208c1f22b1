"""The shop's mail server, and a few catalog items."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from example_project.demo.mail_server import MailServer
from example_project.shop.catalog import read_catalog, save_items
from example_project.shop.models import CatalogItem
from pleme_redis_django.testing.servers.managed_server import free_port


@pytest.fixture
def mail_server(tmp_path: Path, settings: pytest.FixtureRequest) -> Iterator[MailServer]:
    """A running mail server that Django's SMTP backend sends to."""
    server = MailServer(tmp_path / "mail", free_port())
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, _, port = server.address.partition(":")
    settings.EMAIL_PORT = int(port)
    yield server
    server.stop()


@pytest.fixture
def catalog(db: None) -> list[CatalogItem]:
    """The first airports of the data set, saved."""
    save_items(read_catalog()[:20])
    return list(CatalogItem.objects.all())
