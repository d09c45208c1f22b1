"""The charts of a page: of what they are, and what they are asked for."""

from __future__ import annotations

from django.test import Client

ROOT = "/admin/pleme_redis_django/dashboard/"


def test_charts_of_a_queue_stay_those_of_the_queue(admin_client: Client) -> None:
    live = admin_client.get(ROOT + "queue/acme/mails/").context["live"]
    assert live["seriesQuery"] == {"product": "acme", "queue": "mails"}
    assert live["dataQuery"] == {}
