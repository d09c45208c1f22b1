"""KeyRing: which key encrypts, which decrypt, and what each refusal says."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from pleme_redis_django.exceptions import EncryptionKeyMissing, InvalidParameters
from pleme_redis_django.middleware.encryption.envelope import content_of
from pleme_redis_django.middleware.encryption.key_ring import KeyRing, key_id

OLD, NEW = Fernet.generate_key(), Fernet.generate_key()


def sealed(ring: KeyRing, value: object, job_type: str = "shop.charge") -> dict[str, str]:
    content = content_of(ring.encrypt(job_type, value))
    assert content is not None
    return dict(content)


def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    before, both = KeyRing([OLD]), KeyRing([NEW, OLD])
    assert sealed(both, 1)["key"] == key_id(NEW)
    for ring in (before, both):
        assert both.decrypt("shop.charge", sealed(ring, {"card": 4111})) == {"card": 4111}


def test_a_missing_key_is_named_with_those_that_are_there() -> None:
    content = sealed(KeyRing([OLD]), 1)
    with pytest.raises(EncryptionKeyMissing) as missing:
        KeyRing([NEW]).decrypt("shop.charge", content)
    assert key_id(OLD) in str(missing.value) and key_id(NEW) in str(missing.value)
    assert content["token"] not in str(missing.value)


def test_what_was_sealed_for_another_type_or_changed_is_refused() -> None:
    ring = KeyRing([NEW])
    content = sealed(ring, {"card": 4111})
    changed = content | {"token": content["token"][:-4] + "AAA="}
    for job_type, one in (
        ("mail.send", content),
        ("shop.charge", changed),
        ("shop.charge", content | {"token": 5}),
    ):
        with pytest.raises(InvalidParameters, match=rf"of {job_type} holds was not encrypted for it"):
            ring.decrypt(job_type, one)


@pytest.mark.parametrize("name", [None, 5, ["a"], "", "x" * 1000])
def test_whatever_a_row_names_as_its_key_is_survived(name: object) -> None:
    with pytest.raises(EncryptionKeyMissing) as missing:
        KeyRing([NEW]).decrypt("shop.charge", {"key": name, "token": "x"})
    assert len(str(missing.value)) < 250


def test_no_two_rows_hold_the_same_text() -> None:
    ring = KeyRing([NEW])
    assert sealed(ring, "4111")["token"] != sealed(ring, "4111")["token"]


def test_the_name_of_a_key_is_not_a_part_of_it() -> None:
    assert key_id(NEW) == key_id(NEW) != key_id(OLD)
    assert len(key_id(NEW)) == 8 and key_id(NEW) not in NEW.decode()
