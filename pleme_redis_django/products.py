"""Refuses what may not be a product (tenant) name. Pure: reads no settings and knows no request.

A product is part of every key, unique constraint, lock and cache entry. A name that could be
mistaken for another one, or for a pattern, is refused before a key or a query is built from it.
"""

from __future__ import annotations

from pleme_redis_django.exceptions import InvalidProduct
from pleme_redis_django.product_names import ACCEPTED, is_product_name
from pleme_redis_django.wording import shortened


def validate_product(product: object) -> str:
    """Return ``product`` unchanged when it is an acceptable name. Raises InvalidProduct for anything else."""
    if is_product_name(product):
        return product
    raise InvalidProduct(
        f"{shortened(repr(product))} is not a valid product name. Accepted: {ACCEPTED}. "
        "Map your tenant's name to such a slug."
    )
