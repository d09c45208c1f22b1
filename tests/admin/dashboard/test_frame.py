"""What the pages of the dashboard have in common: the product, the tabs, the question who sees what."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from pleme_redis_django.models import WorkerProcess
from tests.admin.conftest import StaffLogin
from tests.rows import make_failed_job, make_worker

pytestmark = pytest.mark.django_db

ROOT = "/admin/pleme_redis_django/dashboard/"
asked_for: list[Any] = []


def only_acme(user: Any) -> list[str]:
    asked_for.append(user)
    return ["acme"]


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_the_chosen_product_stays_chosen_from_tab_to_tab(admin_client: Client) -> None:
    make_failed_job(product="acme", error_fingerprint="f" * 32)
    page = text_of(admin_client, f"{ROOT}?product=acme")
    for tab in ("queue/", "worker/", "error/", "realtime/"):
        assert f'href="{ROOT}{tab}?product=acme"' in page
    group = {
        "fingerprint": "f" * 32,
        "job_type": "tests.noop",
        "span": "24h",
        "product": "acme",
        "confirmed": "1",
    }
    answer = admin_client.post(f"{ROOT}error/retry/", group)
    assert answer.url == f"{ROOT}error/?span=24h&product=acme"


@pytest.mark.parametrize("address", ["worker/", "queue/", "", "error/"])
def test_the_hook_of_products_is_asked_once_a_page(staff: StaffLogin, settings: Any, address: str) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DASHBOARD_PRODUCTS": f"{__name__}.{only_acme.__name__}"}
    client = staff("view_job", "drain_workerprocess", "pause_job", "retry_job")
    for _ in range(5):
        make_worker()
    asked_for.clear()
    text_of(client, ROOT + address)
    assert len(asked_for) == 1


def test_the_dashboard_reads_from_left_to_right_in_every_language(admin_client: Client) -> None:
    answer = admin_client.get(ROOT, headers={"Accept-Language": "ar"})
    assert '<div id="pleme-dashboard" lang="en" dir="ltr">' in answer.content.decode()
    assert WorkerProcess.objects.count() == 0
