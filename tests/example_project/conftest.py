"""The shop's mail server, and a few catalog items."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
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
    host, _, port = server.address.partition(":")
    send_mail_to(settings, host, int(port))
    yield server
    server.stop()


def send_mail_to(settings: Any, host: str, port: int) -> None:
    """Have Django send its mail to an SMTP server; Django 6.1 has a setting of its own for it."""
    backend = "django.core.mail.backends.smtp.EmailBackend"
    settings.SMTP_HOST, settings.SMTP_PORT = host, port
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": {"host": host, "port": port}}}
    else:
        settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = backend, host, port


@pytest.fixture
def catalog(db: None) -> list[CatalogItem]:
    """The first airports of the data set, saved."""
    save_items(read_catalog(first=20))
    return list(CatalogItem.objects.all())
