"""The page of limits: what it shows and to whom, and what its buttons change."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import FlowGate, FlowLimit, FullGate
from tests.admin.conftest import StaffLogin
from tests.rows import ago, make_job

pytestmark = pytest.mark.django_db
PAGE = "/admin/pleme_redis_django/dashboard/limit/"


def only_acme(_user: object) -> list[str]:
    return ["acme"]


def make_limit(**fields: Any) -> FlowLimit:
    values = {"job_model": "pleme_redis_django.job", "kind": "key", "name": "stripe", "source": "code"}
    return FlowLimit.objects.create(**{**values, "max_running": 5, **fields})


def text_of(client: Client, **query: str) -> str:
    response = client.get(PAGE, query)
    assert response.status_code == 200
    return response.content.decode()


def test_without_limits_the_page_says_how_to_have_one(admin_client: Client) -> None:
    assert "No limits." in text_of(admin_client)


def test_it_shows_numbers_who_runs_and_how_many_wait(admin_client: Client) -> None:
    make_limit(rate=20, per_seconds=60, burst=3)
    make_job(status=JobStatus.RUNNING, product="acme", concurrency_key="stripe")
    make_job(status=JobStatus.BLOCKED, product="acme", blocked_on="k:acme:stripe", updated_at=ago(90))
    text = text_of(admin_client)
    assert "5 at once; 20 start in 1 m, 3 of them together" in text
    assert "1 running" in text and "1 waiting" in text
    assert "the first came" in text


def test_it_names_who_runs_since_when_it_is_full_and_links_to_who_waits(admin_client: Client) -> None:
    make_limit(max_running=4)
    held = {"status": JobStatus.RUNNING, "product": "acme", "concurrency_key": "stripe"}
    jobs = [make_job(job_type=f"shop.pay_{age}", claimed_at=ago(age), **held) for age in (90, 60, 30, 20)]
    text = text_of(admin_client)
    assert re.search(r"4 running, full since <time [^>]*>[^<]*\(20 s\)</time>", text), "nobody waits"
    assert "data-level" not in text
    jobs[1].delete()
    make_job(deleted_at=ago(1), claimed_at=ago(100), job_type="shop.gone", **held)
    make_job(status=JobStatus.BLOCKED, product="acme", blocked_on="k:acme:stripe", updated_at=ago(80))
    FullGate.objects.create(job_model="pleme_redis_django.job", gate="k:acme:stripe", since=ago(7_500))
    text = text_of(admin_client)
    assert re.search(r"full since <time [^>]*>[^<]*\(2 h \d+ m\)</time>", text)
    assert 'data-level="late"' in text and "?status__exact=BLOCKED&amp;order=oldest" in text
    assert "gate=k%3Aacme%3Astripe" in text and '<span class="pleme-holder pleme-quiet">and 1 more' in text
    page = "/admin/pleme_redis_django/job/{}/change/"
    assert [page.format(job.pk) in text for job in jobs] == [True, False, True, False]
    assert "<bdi>shop.<wbr>gone<wbr></bdi> <span" in text and "deleted, since" in text


def test_it_says_how_many_tokens_a_rate_has_and_when_the_next_one_comes(admin_client: Client) -> None:
    rate = make_limit(max_running=None, rate=1, per_seconds=3_600, burst=3)
    for product, full_in in (("acme", 9_000), ("blog", 1_800), ("shop", -5)):
        FlowGate.objects.create(limit=rate, gate=f"k:{product}:stripe", full_again_at=ago(-full_in))
    text = text_of(admin_client)
    assert ", 0 tokens, the next in 29 m" in text or ", 0 tokens, the next in 30 m" in text
    assert ", 2 tokens</li>" in text and ", 3 tokens</li>" in text


def test_it_says_since_when_the_first_waits_at_a_full_limit(admin_client: Client) -> None:
    make_limit()
    for seconds in (7_500, 20):
        make_job(
            status=JobStatus.BLOCKED, product="acme", blocked_on="k:acme:stripe", updated_at=ago(seconds)
        )
    assert re.search(r"the first came <time [^>]*>2 h \d+ m ago</time>", text_of(admin_client))


def test_the_page_of_a_waiting_job_links_to_who_holds_its_place(admin_client: Client) -> None:
    make_limit(max_running=1)
    holder = make_job(status=JobStatus.RUNNING, product="acme", concurrency_key="stripe")
    waiting = make_job(
        status=JobStatus.BLOCKED, product="acme", concurrency_key="stripe", blocked_on="k:acme:stripe"
    )
    pages = "/admin/pleme_redis_django/job/{}/change/"
    text = admin_client.get(pages.format(waiting.pk)).content.decode()
    assert f'Held by <a href="{pages.format(holder.pk)}">{holder.pk}</a>' in text


def test_the_page_of_a_waiting_job_says_how_many_more_hold_its_place(admin_client: Client) -> None:
    make_limit(max_running=6)
    for _ in range(6):
        make_job(status=JobStatus.RUNNING, product="acme", concurrency_key="stripe")
    waiting = make_job(
        status=JobStatus.BLOCKED, product="acme", concurrency_key="stripe", blocked_on="k:acme:stripe"
    )
    page = f"/admin/pleme_redis_django/job/{waiting.pk}/change/"
    assert "</a> and 1 more<br>" in admin_client.get(page).content.decode()


def test_it_shows_the_orders_in_which_jobs_wait_with_their_heads(admin_client: Client) -> None:
    head = make_job(status=JobStatus.RUNNING, product="acme", order_key="order:7", job_type="shop.pack")
    make_job(status=JobStatus.BLOCKED, product="acme", order_key="order:7", blocked_on="o:acme:order:7")
    text = text_of(admin_client)
    assert "order:7" in text and str(head.pk) in text


def test_a_name_of_anybody_is_escaped(admin_client: Client) -> None:
    make_limit(name="<script>x</script>\u202e")
    make_job(status=JobStatus.BLOCKED, order_key="<img>", blocked_on="o:default:<img>")
    text = text_of(admin_client)
    assert "<script>x" not in text and "<img>" not in text and "\u202e" not in text


def test_another_number_counts_and_is_audited(staff: StaffLogin) -> None:
    client, row = staff("view_job", "change_flowlimit"), make_limit()
    form = {"max_running": "1", "rate": "", "per_seconds": "1", "burst": "", "reason": "Stripe is <slow>"}
    assert client.post(f"{PAGE}{row.pk}/change/", form).status_code == 302
    row.refresh_from_db()
    assert (row.max_running, row.edit_reason) == (1, "Stripe is <slow>")
    assert row.edited_by == LogEntry.objects.get().user.get_username()
    text = text_of(client)
    assert "Stripe is &lt;slow&gt;" in text and "the code says 5 at once" in text
    assert "Stripe is <slow>" in LogEntry.objects.get().change_message
    assert client.post(f"{PAGE}{row.pk}/reset/").status_code == 302
    row.refresh_from_db()
    assert (row.max_running, row.edited_at) == (5, None)


def test_a_limit_is_added_and_removed(staff: StaffLogin) -> None:
    client = staff("view_job", "change_flowlimit")
    form = {
        "kind": "queue",
        "name": "print",
        "of_product": "acme",
        "max_running": "2",
        "reason": "one printer",
    }
    client.post(f"{PAGE}add/", form)
    row = FlowLimit.objects.get()
    assert (row.kind, row.name, row.product, row.max_running) == ("queue", "print", "acme", 2)
    client.post(f"{PAGE}{row.pk}/reset/")
    assert not FlowLimit.objects.exists()


def test_a_limit_that_all_products_share_is_added_with_a_reason_and_stays_so(staff: StaffLogin) -> None:
    client = staff("view_job", "change_flowlimit")
    form = {"kind": "key", "name": "bank", "of_product": "", "max_running": "2", "reason": "one account"}
    client.post(f"{PAGE}add/", {**form, "shared": "1"})
    row = FlowLimit.objects.get()
    assert (row.is_shared, row.product, row.edit_reason) == (True, "", "one account")
    assert "all products together: one account" in LogEntry.objects.get().change_message
    text = text_of(client)
    assert "All products together share this one limit" in text and "key, all products together" in text
    client.post(f"{PAGE}{row.pk}/change/", {"max_running": "3", "reason": "two accounts"})
    row.refresh_from_db()
    assert (row.is_shared, row.max_running) == (True, 3)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"kind": "key", "shared": "1", "of_product": "acme"},
            "shared is True for a limit of &#x27;acme&#x27;",
        ),
        ({"kind": "product", "shared": "1"}, "shared is True for a limit of a product alone"),
        ({"kind": "key", "shared": "1", "name": "stripe"}, "cannot become shared by all products"),
        ({"kind": "key", "name": "bank"}, "cannot become each product&#x27;s own"),
    ],
)
def test_what_cannot_be_shared_is_refused_with_the_way_out(
    staff: StaffLogin, fields: dict[str, str], said: str
) -> None:
    make_limit()
    make_limit(name="bank", is_shared=True)
    before = list(FlowLimit.objects.order_by("pk").values())
    form = {"name": "acme", "max_running": "1", "reason": "x", **fields}
    text = staff("view_job", "change_flowlimit").post(f"{PAGE}add/", form, follow=True).content.decode()
    assert "Nothing was changed." in text and said in text
    assert list(FlowLimit.objects.order_by("pk").values()) == before
    assert not LogEntry.objects.exists()


def test_who_may_see_one_product_has_nothing_to_do_with_shared_limits(
    staff: StaffLogin, settings: Any
) -> None:
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"DASHBOARD_PRODUCTS": f"{__name__}.only_acme"}
    row = make_limit(is_shared=True, source="admin", edited_at=ago(1))
    client = staff("view_job", "change_flowlimit")
    assert "All products together share" not in text_of(client)
    form = {"kind": "key", "name": "bank", "shared": "1", "max_running": "1", "reason": "x"}
    assert client.post(f"{PAGE}add/", {**form, "of_product": ""}).status_code == 403
    client.post(f"{PAGE}add/", {**form, "of_product": "acme"})
    assert client.post(f"{PAGE}{row.pk}/change/", form).status_code == 403
    assert client.post(f"{PAGE}{row.pk}/reset/").status_code == 403
    assert [(one.pk, one.max_running) for one in FlowLimit.objects.all()] == [(row.pk, 5)]


@pytest.mark.parametrize(
    "field", [{"max_running": "-1"}, {"max_running": "many"}, {"max_running": ""}, {"per_seconds": "9" * 500}]
)
def test_what_is_not_accepted_changes_nothing_and_is_said(staff: StaffLogin, field: dict[str, str]) -> None:
    client, row = staff("view_job", "change_flowlimit"), make_limit()
    response = client.post(
        f"{PAGE}{row.pk}/change/", {"max_running": "1", "reason": "x", **field}, follow=True
    )
    assert "Nothing was changed." in response.content.decode()
    row.refresh_from_db()
    assert (row.max_running, row.edited_at) == (5, None)


def test_it_takes_the_permission_and_a_post(staff: StaffLogin) -> None:
    row = make_limit()
    addresses = (f"{PAGE}add/", f"{PAGE}{row.pk}/change/", f"{PAGE}{row.pk}/reset/")
    client = staff("view_job")
    assert [client.post(address).status_code for address in addresses] == [403, 403, 403]
    assert "Change…" not in text_of(client)
    client = staff("view_job", "change_flowlimit")
    assert [client.get(address).status_code for address in addresses] == [405, 405, 405]
    assert client.post(f"{PAGE}0/reset/").status_code == 404
    assert staff().get(PAGE).status_code == 403


def test_who_may_see_one_product_changes_its_own_limits_alone(staff: StaffLogin, settings: Any) -> None:
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"DASHBOARD_PRODUCTS": f"{__name__}.only_acme"}
    every, own, other = make_limit(), make_limit(product="acme"), make_limit(product="blog", name="hush-key")
    make_job(status=JobStatus.BLOCKED, product="blog", order_key="hush-order", blocked_on="o:blog:hush-order")
    client = staff("view_job", "change_flowlimit")
    text = text_of(client)
    assert "hush-key" not in text and "hush-order" not in text
    form = {"max_running": "1", "reason": "x"}
    answers = [client.post(f"{PAGE}{row.pk}/change/", form).status_code for row in (every, own, other)]
    assert answers == [403, 302, 403]
    added = {"kind": "key", "name": "new", **form}
    assert client.post(f"{PAGE}add/", {**added, "of_product": "blog"}).status_code == 403
    assert client.post(f"{PAGE}add/", {**added, "of_product": ""}).status_code == 403
    assert client.post(f"{PAGE}add/", {**added, "of_product": "acme"}).status_code == 302


def test_a_limit_of_a_product_is_for_those_who_may_see_it(staff: StaffLogin, settings: Any) -> None:
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"DASHBOARD_PRODUCTS": f"{__name__}.only_acme"}
    own, other = (
        make_limit(
            kind="product", name=name, source="settings", edited_at=ago(1), declared={"max_running": 9}
        )
        for name in ("acme", "hush-product")
    )
    client, form = staff("view_job", "change_flowlimit"), {"max_running": "1", "reason": "x"}
    text = text_of(client)
    assert "hush-product" not in text
    assert f"{PAGE}{own.pk}/change/" in text
    for action in ("change", "reset"):
        answers = [client.post(f"{PAGE}{row.pk}/{action}/", form).status_code for row in (own, other)]
        assert answers == [302, 403]
    for product in ("", "acme"):
        added = {"kind": "product", "name": "hush-product", "of_product": product, **form}
        assert client.post(f"{PAGE}add/", added).status_code == 403
    client.post(f"{PAGE}add/", {"kind": "product", "name": "acme", "of_product": "acme", **form})
    numbers = FlowLimit.objects.order_by("pk").values_list("name", "product", "max_running")
    assert list(numbers) == [("acme", "", 1), ("hush-product", "", 5)]
