"""Keyed digests: equal for equal values alone, and never without the key."""

from __future__ import annotations

from cryptography.fernet import Fernet

from pleme_redis_django.middleware import EncryptedParameters
from pleme_redis_django.middleware.encryption.digests import (
    DIGEST_LENGTH,
    parameter_digests,
    searched_digests,
    unique_digest,
)
from pleme_redis_django.middleware.encryption.encryption_settings import EncryptionSettings
from tests.middleware.conftest import UseMiddleware

ONE, OTHER = (EncryptionSettings(keys=(key,)) for key in (b"k" * 32, b"l" * 32))


def test_equal_parameters_have_one_digest_in_whatever_order_they_are() -> None:
    assert unique_digest(ONE, None, {"a": 1, "b": 2}) == unique_digest(ONE, None, {"b": 2, "a": 1})
    different = [
        unique_digest(ONE, None, {"a": 1}),
        unique_digest(ONE, None, {"a": "1"}),
        unique_digest(OTHER, None, {"a": 1}),
        unique_digest(ONE, '{"a":1}', {}),
        unique_digest(ONE, "", {}),
    ]
    assert len(set(different)) == len(different)


def test_a_unique_key_takes_the_place_of_the_parameters() -> None:
    assert unique_digest(ONE, "order 7", {"a": 1}) == unique_digest(ONE, "order 7", {"a": 2})


def test_a_value_has_another_digest_under_another_name() -> None:
    digests = parameter_digests(ONE, {"card": "4111", "phone": "4111"})
    assert digests["card"] != digests["phone"]
    assert {len(one) for one in digests.values()} == {DIGEST_LENGTH}


def test_only_what_may_be_searched_for_has_a_digest() -> None:
    some = EncryptionSettings(keys=(b"k" * 32,), searchable=("amount", "missing"))
    assert set(parameter_digests(some, {"card": "4111", "amount": 5})) == {"amount"}
    assert parameter_digests(EncryptionSettings(keys=(b"k",), searchable=()), {"card": 1}) == {}


def test_a_search_asks_for_the_digest_of_each_key(use: UseMiddleware) -> None:
    new, old = (Fernet.generate_key().decode() for _ in range(2))
    use(EncryptedParameters, ENCRYPTION={"KEYS": [new, old]})
    expected = [
        parameter_digests(EncryptionSettings(keys=(key.encode(),)), {"card": "4111"})["card"]
        for key in (new, old)
    ]
    assert searched_digests("card", "4111") == expected
    use(EncryptedParameters, ENCRYPTION={})
    assert searched_digests("card", "4111") == []


def test_text_that_no_encoding_has_is_digested_too() -> None:
    assert len(unique_digest(ONE, "\ud800", {})) == DIGEST_LENGTH
