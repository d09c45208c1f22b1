"""The functions that settings name: one way to import them, one check that asks each."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pleme_redis_django.checks.settings import check_hooks
from pleme_redis_django.conf import Settings
from pleme_redis_django.conf.hooks import HOOKS, hook
from pleme_redis_django.exceptions import InvalidSettings

WRONG = [
    ("no.such.function", "cannot be imported"),
    ("undotted", "cannot be imported"),
    ("pleme_redis_django.conf.KIB", "cannot be called"),
]


def first(*_args: Any) -> None: ...


def second(*_args: Any) -> None: ...


def test_every_setting_of_a_function_is_a_hook() -> None:
    source = {field.name.upper() for field in dataclasses.fields(Settings) if "Hook(" in str(field.type)}
    assert source == set(HOOKS) == {"AUTHORIZE", "PRODUCT_RESOLVER", "DASHBOARD_PRODUCTS", "REDACT"}


@pytest.mark.parametrize("setting", sorted(HOOKS))
@pytest.mark.parametrize(("path", "why"), WRONG)
def test_a_wrong_path_is_told_by_the_check_in_the_words_of_the_error(
    settings: Any, setting: str, path: str, why: str
) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, setting: path}
    [found] = check_hooks()
    assert found.id == "pleme_redis_django.E002"
    assert why in found.msg
    assert path in found.msg
    assert HOOKS[setting].signature in found.msg
    assert setting in str(found.hint)
    with pytest.raises(InvalidSettings) as raised:
        hook(setting)
    assert str(raised.value) == found.msg


@pytest.mark.parametrize("setting", sorted(HOOKS))
def test_a_hook_is_kept_until_the_settings_change(settings: Any, setting: str) -> None:
    assert hook(setting) is None
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, setting: f"{__name__}.first"}
    assert hook(setting) is first
    assert list(check_hooks()) == []
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, setting: f"{__name__}.second"}
    assert hook(setting) is second
