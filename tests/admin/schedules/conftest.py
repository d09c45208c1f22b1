"""Who looks at schedules in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.admin.conftest import StaffLogin
from tests.admin.schedules.rows import ALL


def only_acme(_user: object) -> list[str]:
    return ["acme"]


@pytest.fixture
def operator(staff: StaffLogin) -> Client:
    """A staff user with every permission about schedules."""
    return staff(*ALL)


@pytest.fixture
def acme_operator(operator: Client, settings: Any) -> Client:
    """The same, for the product acme alone."""
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"DASHBOARD_PRODUCTS": f"{__name__}.only_acme"}
    return operator
