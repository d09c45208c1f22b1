"""Which products a user sees and changes in the dashboard, as the project's hook says.

``PLEME_REDIS["DASHBOARD_PRODUCTS"]`` names ``f(user) -> collection of product names, or None for all``.
Without it everyone sees every product. A hook that raises, or returns something other than a collection of product
names, shows nothing: its error goes up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any, TypeVar

from django.db.models import QuerySet
from django.http import HttpRequest

from pleme_redis_django.conf import get_settings
from pleme_redis_django.conf.hooks import hook
from pleme_redis_django.exceptions import InvalidProduct, InvalidSettings
from pleme_redis_django.products import validate_product

M = TypeVar("M", bound=QuerySet[Any])
_SCOPE_ATTRIBUTE = "_pleme_scope"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProductScope:
    """The products of one user. Equal scopes see the same, so that what is computed for one serves all."""

    products: frozenset[str] | None = None
    """None: every product, including new ones."""

    def allows(self, product: str) -> bool:
        return self.products is None or product in self.products

    @property
    def sees_shared(self) -> bool:
        """Whether the user may see what serves every product: not if they may see no product."""
        return self.products is None or bool(self.products)

    def narrow(self, rows: M, field: str = "product") -> M:
        return rows if self.products is None else rows.filter(**{f"{field}__in": sorted(self.products)})

    def narrow_with_shared(self, rows: M) -> M:
        """Return the rows of the products, and those that serve every product, for users who may see these."""
        if self.products is None:
            return rows
        return rows.filter(product__in=[*([""] if self.sees_shared else []), *sorted(self.products)])


EVERY_PRODUCT = ProductScope()


def scope_of(user: Any) -> ProductScope:
    """Return what a user may see. Raises InvalidSettings for a hook that is broken or misunderstood."""
    products_of = hook("DASHBOARD_PRODUCTS")
    return EVERY_PRODUCT if products_of is None else ProductScope(products=_validated(products_of(user)))


def scope_of_request(request: HttpRequest) -> ProductScope:
    """Return what the user of a request may see; the hook is asked once a request, not once a row."""
    known: ProductScope | None = getattr(request, _SCOPE_ATTRIBUTE, None)
    if known is None:
        known = scope_of(request.user)
        setattr(request, _SCOPE_ATTRIBUTE, known)
    return known


def _validated(products: object) -> frozenset[str] | None:
    if products is None:
        return None
    # A text is a collection too, of its letters.
    if isinstance(products, str) or not isinstance(products, Collection):
        raise InvalidSettings(
            f"{_path()}(user) returned {products!r:.80}. Accepted: a collection of product names, "
            "or None for every product."
        )
    try:
        return frozenset(validate_product(product) for product in products)
    except InvalidProduct as error:
        raise InvalidSettings(
            f"{_path()}(user) returned a name that is not a valid product. {error}"
        ) from error


def _path() -> str | None:
    return get_settings().dashboard_products
