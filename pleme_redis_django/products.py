"""What a product (tenant) name may be. Pure: reads no settings and knows no request.

A product is part of every key, unique constraint, lock and cache entry. A name that could be
mistaken for another one, or for a pattern, is refused before a key or a query is built from it.
"""

from __future__ import annotations

import re

from pleme_redis_django.exceptions import InvalidProduct
from pleme_redis_django.wording import shortened

PRODUCT_MAX_LENGTH = 50

_PRODUCT = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")


def validate_product(product: object) -> str:
    """Return ``product`` unchanged when it is an acceptable name.

    Raises InvalidProduct for anything that does not match ``[a-z0-9][a-z0-9-]{0,49}`` as a whole.
    """
    if isinstance(product, str) and _PRODUCT.fullmatch(product):
        return product
    raise InvalidProduct(
        f"{shortened(repr(product))} is not a valid product name. Accepted: 1 to {PRODUCT_MAX_LENGTH} characters of "
        "a-z, 0-9 and -, not starting with -. Map your tenant's name to such a slug."
    )
