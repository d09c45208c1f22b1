from __future__ import annotations

import pytest

from pleme_redis_django.product_names import is_product_name


@pytest.mark.parametrize("name", ["a", "0", "acme", "acme-2", "a" * 50])
def test_a_slug_is_a_product_name(name: str) -> None:
    assert is_product_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a" * 51, "Acme", "a_b", "a:b", "a*", "a\n", "ä", b"a", None, 1])
def test_anything_else_is_none(name: object) -> None:
    assert not is_product_name(name)
