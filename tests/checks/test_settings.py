"""Checks of the PLEME_REDIS dict itself: a wrong key, a wrong value, a function that is not there."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test.utils import override_settings

from pleme_redis_django.checks.settings import check_hooks, check_settings


def found(**changed: Any) -> list[str]:
    with override_settings(PLEME_REDIS={**django_settings.PLEME_REDIS, **changed}):
        return [str(message.id) for message in (*check_settings(), *check_hooks())]


def test_the_settings_of_the_suite_pass() -> None:
    assert found() == []


@pytest.mark.parametrize("hook", ["no.such.module", "builtins.no_such_function", "django.VERSION"])
def test_a_function_that_cannot_be_imported_or_called_is_an_error(hook: str) -> None:
    assert found(DASHBOARD_PRODUCTS=hook) == ["pleme_redis_django.E002"]


def test_what_is_wrong_is_said_with_what_to_correct() -> None:
    with override_settings(PLEME_REDIS={**django_settings.PLEME_REDIS, "DASHBOARD_PRODUCTS": "no.such"}):
        [message] = check_hooks()
    assert "DASHBOARD_PRODUCTS" in str(message.hint) and "leave it out" in str(message.hint)
