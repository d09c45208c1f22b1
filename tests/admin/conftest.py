"""Staff users with chosen permissions, and the pages that they see."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from pleme_redis_django.models import JobStatus
from tests.rows import ago, make_job

StaffLogin = Callable[..., Client]
LIST = "/admin/pleme_redis_django/job/"
OPTIONS = {
    "reschedule": {"run_after": "2030-01-02T03:04"},
    "change_priority": {"priority": "7"},
    "change_queue": {"queue_name": "slow"},
}
"""What the forms of the operations are filled with."""


@pytest.fixture
def staff(db: None) -> StaffLogin:
    """Return a function that logs a staff user in who has these permissions and no others."""

    def login(*codenames: str) -> Client:
        user = User.objects.create_user(f"staff-{User.objects.count()}", is_staff=True)
        of_the_suite = Permission.objects.exclude(content_type__app_label="shop")
        permissions = list(of_the_suite.filter(codename__in=codenames))
        assert len(permissions) == len(codenames), f"of {codenames} there are only {permissions}"
        user.user_permissions.set(permissions)
        client = Client()
        client.force_login(user)
        return client

    return login


def listed_ids(client: Client, query: str = "", address: str = LIST) -> set[str]:
    """Return the ids of the jobs that a list shows."""
    response = client.get(address + query)
    assert response.status_code == 200, response
    return {str(job.pk) for job in response.context["cl"].result_list}


def found_by(client: Client, text: str) -> set[str]:
    """Return the ids of the jobs that a search finds."""
    response = client.get(LIST, {"q": text})
    assert not list(response.context["messages"])
    return {str(job.pk) for job in response.context["cl"].result_list}


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return str(answer.content.decode())


def running_job(**fields: Any) -> Any:
    return make_job(
        status=JobStatus.RUNNING,
        worker_id=uuid.uuid4(),
        attempt=1,
        claimed_at=ago(60),
        started_at=ago(60),
        **fields,
    )
