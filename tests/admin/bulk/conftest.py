"""Operations on many jobs, as the list of the admin asks for them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from pleme_redis_django.admin.bulk import batches as bulk_batches
from pleme_redis_django.admin.bulk import views as bulk_views
from tests.admin.conftest import LIST

JSON = {"accept": "application/json"}
ALL = {"select_across": "1"}


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bulk_batches, bulk_views):
        monkeypatch.setattr(module, "BATCH_JOBS", 10)


def ask(client: Client, name: str, query: str = "", *jobs: Any) -> Any:
    """Choose an action of the list for all that match, or for some jobs."""
    # The list always sends the boxes that are checked, which are those of the page.
    chosen = {"_selected_action": [str(job.pk) for job in jobs]} if jobs else {"_selected_action": "x", **ALL}
    response = client.post(LIST + query, {"action": f"{name}_selected", **chosen})
    assert response.status_code == 200
    return response


def words(response: Any) -> str:
    return " ".join(response.content.decode().split())


def run_to_the_end(client: Client, name: str, query: str = "", **data: str) -> list[dict[str, Any]]:
    """Post batch after batch, as the script does."""
    answers = []
    while True:
        response = client.post(f"{LIST}bulk/{name}/{query}", {**ALL, **data}, headers=JSON)
        assert response.status_code == 200
        answers.append(response.json())
        data["cursor"] = answers[-1]["cursor"]
        if answers[-1]["is_last"]:
            return answers
