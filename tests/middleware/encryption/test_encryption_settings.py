"""PLEME_REDIS["ENCRYPTION"]: what is refused, without a word of a key, and what the settings say."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet

from pleme_redis_django.checks.middleware import check_middleware
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.middleware import EncryptedParameters
from pleme_redis_django.middleware.encryption.encryption_settings import (
    EncryptionSettings,
    encryption_settings,
)
from tests.middleware.conftest import UseMiddleware
from tests.workload.jobs import add

NEW = Fernet.generate_key().decode()


@pytest.mark.parametrize(
    ("encryption", "why"),
    [
        ({}, "names no keys"),
        ({"KEYS": []}, "has no keys"),
        ({"KEYS": "secret-key"}, "has no keys"),
        ({"KEYS": [NEW, "secret-key"]}, r'\["KEYS"\]\[1\] is not a Fernet key'),
        ({"KEYS": [7]}, r'\["KEYS"\]\[0\] is not a Fernet key'),
        ({"KEYS": [NEW], "TYPES": []}, 'unknown key "TYPES"'),
        ({"KEYS": [NEW], "JOB_TYPES": "charge"}, "JOB_TYPES"),
        ({"KEYS": [NEW], "SEARCHABLE": [1]}, "SEARCHABLE"),
        ({"KEYS": [NEW], "RESULTS": "yes"}, "RESULTS"),
        ({"KEYS": [NEW], "DIGEST_KEY": "secret-key"}, "DIGEST_KEY"),
        (["secret-key"], "is a list"),
    ],
)
def test_wrong_settings_are_refused_and_no_key_is_shown(
    use: UseMiddleware, encryption: Any, why: str
) -> None:
    use(EncryptedParameters, ENCRYPTION=encryption)
    with pytest.raises(InvalidSettings, match=why) as refused:
        add.enqueue(1, 2)
    assert "secret-key" not in str(refused.value) and NEW not in str(refused.value)
    if isinstance(encryption, dict):
        assert [found.id for found in check_middleware()] == ["pleme_redis_django.E003"]


def test_the_first_key_is_for_digests_unless_they_have_their_own() -> None:
    keys = (b"new", b"old")
    assert EncryptionSettings(keys=keys).digest_keys == keys
    assert EncryptionSettings(keys=keys, digest_key=b"own").digest_keys == (b"own",)


def test_types_are_named_or_matched_by_a_pattern_and_upper_case_counts() -> None:
    settings = EncryptionSettings(keys=(b"",), job_types=("shop.charge*", "mail.send"))
    asked = ("shop.charge", "shop.charge_once", "mail.send", "mail.send_all", "Shop.charge")
    assert [settings.encrypts(job_type) for job_type in asked] == [True, True, True, False, False]


def test_no_key_is_shown_when_the_settings_are() -> None:
    shown = repr(EncryptionSettings(keys=(b"secret-key",), digest_key=b"secret-digest"))
    assert "secret" not in shown


def test_settings_that_change_are_read_again(use: UseMiddleware) -> None:
    use(EncryptedParameters, ENCRYPTION={"KEYS": [NEW], "RESULTS": True})
    first = encryption_settings()
    assert first is not None and first.results
    use(EncryptedParameters, ENCRYPTION={})
    assert encryption_settings() is None
