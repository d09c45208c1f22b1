"""The pages of the dashboard: who opens them, what they link to, and what another product's people see."""

from __future__ import annotations

import math
from typing import Any

import django
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.monitoring import storage_warnings
from tests.admin.conftest import StaffLogin
from tests.metrics.measuring import measure_now
from tests.rows import ago, make_failed_job, make_job, make_worker

ROOT = "/admin/pleme_redis_django/dashboard/"
PAGES = ["", "queue/", "queue/acme/mails/", "worker/", "error/", "storage/", "realtime/"]
DATA = ["data.json", "series.json"]


def only_acme(_user: object) -> list[str]:
    return ["acme"]


@pytest.fixture
def acme_staff(staff: StaffLogin, settings: Any) -> Client:
    """A staff user with every permission of the dashboard, who may see one product."""
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"DASHBOARD_PRODUCTS": f"{__name__}.only_acme"}
    return staff(
        "view_job", "pause_job", "retry_job", "drain_workerprocess", "release_lock", "view_workerprocess"
    )


@pytest.mark.django_db
@pytest.mark.parametrize("page", PAGES + DATA)
def test_page_needs_the_permission_to_see_jobs(page: str, staff: StaffLogin) -> None:
    assert staff().get(ROOT + page).status_code == 403
    assert staff("view_job").get(ROOT + page).status_code == 200
    assert Client().get(ROOT + page).status_code == 302


@pytest.mark.parametrize("page", PAGES)
def test_page_is_marked_in_the_tabs(page: str, admin_client: Client) -> None:
    text = admin_client.get(ROOT + page).content.decode()
    tab = "queue/" if page.startswith("queue/") else page
    assert f'<a href="{ROOT}{tab}" aria-current="page">' in text


def test_admin_index_and_sidebar_lead_to_the_dashboard(admin_client: Client) -> None:
    for address in ("/admin/", "/admin/pleme_redis_django/job/"):
        assert f'href="{ROOT}"' in admin_client.get(address).content.decode()


@pytest.mark.parametrize(
    ("status", "figure"),
    [("QUEUED", "ready"), ("BLOCKED", "blocked"), ("PENDING", "pending"), ("RUNNING", "running")],
)
def test_figures_link_to_the_jobs_behind_them(admin_client: Client, status: str, figure: str) -> None:
    make_job(product="acme", queue_name="mails", status=status)
    measure_now()
    link = f"/admin/pleme_redis_django/job/?status__exact={status}&amp;product=acme&amp;queue=mails"
    assert f'data-jobs="{figure}" href="{link}"' in admin_client.get(ROOT + "queue/").content.decode()
    answer = admin_client.get(link.replace("&amp;", "&"))
    assert answer.status_code == 200
    assert answer.context["cl"].result_count == 1


@pytest.mark.usefixtures("two_products")
@pytest.mark.parametrize("page", PAGES + DATA)
def test_other_products_are_not_seen(page: str, acme_staff: Client) -> None:
    answer = acme_staff.get(ROOT + page)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "globex" not in text
    assert "secret" not in text


@pytest.mark.usefixtures("two_products")
@pytest.mark.parametrize("page", ["worker/", "error/", "realtime/", "queue/acme/mails/"])
def test_own_product_is_seen(page: str, acme_staff: Client) -> None:
    assert "acme" in acme_staff.get(ROOT + page).content.decode()


@pytest.mark.usefixtures("two_products")
@pytest.mark.parametrize(
    "address",
    [
        "queue/globex/secret-queue/",
        *(
            f"{page}?product=globex"
            for page in ["", "queue/", "worker/", "error/", "storage/", "realtime/", *DATA]
        ),
    ],
)
def test_other_product_cannot_be_asked_for(address: str, acme_staff: Client) -> None:
    assert acme_staff.get(ROOT + address).status_code == 403


@pytest.mark.parametrize("tab", ["queue", "worker", "error"])
def test_a_tab_may_be_typed_as_it_is_called(tab: str, admin_client: Client) -> None:
    answer = admin_client.get(f"{ROOT}{tab}s/?product=acme%2Dtwo", follow=True)
    assert answer.redirect_chain == [(f"../{tab}/?product=acme%2Dtwo", 302)]
    assert answer.status_code == 200


@pytest.mark.parametrize("address", ["?product=No%20such!", "queue/acme/a%20b/", "queue/A/b/"])
def test_what_is_no_name_is_not_found(address: str, admin_client: Client) -> None:
    assert admin_client.get(ROOT + address).status_code == 404


@pytest.mark.usefixtures("two_products")
@pytest.mark.parametrize("page", PAGES)
def test_who_may_only_look_sees_no_button(page: str, staff: StaffLogin) -> None:
    text = staff("view_job").get(ROOT + page).content.decode()
    assert 'method="post" action="/admin/pleme_redis_django' not in text


@pytest.mark.usefixtures("two_products")
def test_product_choice_narrows_the_snapshot(admin_client: Client) -> None:
    workers = admin_client.get(ROOT + "data.json", {"product": "acme"}).json()["workers"]
    assert {worker["product"] for worker in workers} == {"acme"}


def test_page_with_more_rows_than_a_snapshot_asks_for_all_of_them(admin_client: Client) -> None:
    fill(51)
    for page, query in {
        "": {},
        "queue/": {"whole": "1"},
        "worker/": {"whole": "1"},
        "queue/acme/q51-7/": {"product": "acme", "whole": "1"},
    }.items():
        assert admin_client.get(ROOT + page).context["live"]["dataQuery"] == query
    assert len(admin_client.get(ROOT + "data.json").json()["queues"]) == 50
    whole = admin_client.get(ROOT + "data.json", {"whole": "1"}).json()
    assert (len(whole["queues"]), len(whole["workers"])) == (51, 51)


@pytest.mark.usefixtures("two_products")
@pytest.mark.parametrize("page", ["", "queue/", "error/"])
def test_product_is_chosen_among_those_that_were_measured(page: str, admin_client: Client) -> None:
    text = admin_client.get(ROOT + page, {"product": "acme"}).content.decode()
    assert '<option value="acme" selected>acme</option>' in text
    assert '<option value="globex">globex</option>' in text
    assert "globex.broken" not in text
    assert "queue/globex/" not in text


@pytest.mark.parametrize("page", PAGES + DATA)
def test_queries_of_a_page_do_not_grow(
    page: str, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its one query in ten seconds would fall into either count.
    monkeypatch.setattr(storage_warnings, "ASKED_EVERY_SECONDS", math.inf)
    fill(1)
    admin_client.get(ROOT + page)  # what a process asks once
    few = queries_of(admin_client, page)
    fill(30)
    assert queries_of(admin_client, page) == few


def fill(number: int) -> None:
    """Store some queues, each with a worker, a running job and a failed one, and measure them."""
    for each in range(number):
        worker = make_worker(pid=number + each)
        running = {"status": "RUNNING", "worker_id": worker.pk, "claimed_at": ago(1), "started_at": ago(1)}
        make_job(queue_name=f"q{number}-{each}", product="acme", **running)
        make_failed_job(
            product="acme", job_type=f"type{number}-{each}", error_fingerprint=f"{number + each:032x}"
        )
    measure_now()


def queries_of(client: Client, page: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(ROOT + page).status_code == 200
    return len(asked)


def test_breadcrumbs_are_those_of_the_django_that_shows_them(admin_client: Client) -> None:
    text = admin_client.get(ROOT + "queue/acme/mails/").content.decode()
    element = "ol" if django.VERSION >= (6, 1) else "div"
    assert f'<{element} class="breadcrumbs">' in text
    for title, address in (("Jobs dashboard", ROOT), ("Queues", ROOT + "queue/")):
        assert f'<a href="{address}">{title}</a>' in text
