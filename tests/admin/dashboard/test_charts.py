"""The charts of a page: of what they are, and what they are asked for."""

from __future__ import annotations

from django.test import Client

from pleme_redis_django.admin.dashboard.charts import CHARTS

ROOT = "/admin/pleme_redis_django/dashboard/"


def test_charts_of_a_queue_stay_those_of_the_queue(admin_client: Client) -> None:
    live = admin_client.get(ROOT + "queue/acme/mails/").context["live"]
    assert live["seriesQuery"] == {"product": "acme", "queue": "mails"}
    assert live["dataQuery"] == {}


def test_the_depth_chart_draws_what_is_ready_runs_and_is_blocked_as_the_series_name_it(
    admin_client: Client,
) -> None:
    page = admin_client.get(ROOT + "queue/acme/mails/")
    (depth,) = (chart for chart in CHARTS if chart.name == "depth")
    fields = {line.field for line in depth.lines}
    assert fields == {"ready", "running", "blocked"}
    assert fields <= admin_client.get(page.context["live"]["seriesUrl"]).json().keys()
