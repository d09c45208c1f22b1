"""Products: what may not be a tenant's name is refused, and named, before a key is built from it."""

from __future__ import annotations

import pytest

from pleme_redis_django.exceptions import InvalidProduct
from pleme_redis_django.products import validate_product


@pytest.mark.parametrize("product", ["a", "0", "novaskyn", "tenant-7", "x" * 50])
def test_a_slug_comes_back_unchanged(product: str) -> None:
    assert validate_product(product) == product


@pytest.mark.parametrize(
    "product",
    [
        "",
        "-a",
        "A",
        "a b",
        "a_b",
        "a.b",
        "a:b",
        "a*",
        "a?",
        "[a]",
        "a\n",
        "ä",
        "a\x00",
        "x" * 51,
        None,
        7,
        b"a",
        ["a"],
    ],
)
def test_anything_else_is_refused_with_the_next_step(product: object) -> None:
    with pytest.raises(InvalidProduct) as caught:
        validate_product(product)
    assert "is not a valid product name. Accepted: 1 to 50 characters of a-z, 0-9 and -" in str(caught.value)
    assert "Map your tenant's name to such a slug." in str(caught.value)


def test_a_long_one_is_shortened() -> None:
    with pytest.raises(InvalidProduct) as caught:
        validate_product("x" * 10_000)
    assert len(str(caught.value)) < 400
