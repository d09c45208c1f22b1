"""The shop's catalog: 28,000 real airports, read from the file in the package ``airportsdata``.

The data has no prices, so the shop makes one: a print costs 24.00, and 1.00 more for every 1,000
feet that the airport lies above the sea.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator
from importlib import resources
from itertools import islice

from example_project.shop.models import CatalogItem

BASE_PRICE_CENTS = 2400
CENTS_PER_1000_FEET = 100
_UPDATED_FIELDS = [
    "name",
    "city",
    "country",
    "elevation_feet",
    "latitude",
    "longitude",
    "timezone",
    "price_cents",
]


def read_catalog(first: int | None = None) -> list[CatalogItem]:
    """Return every airport of the data set, or the first ones, as unsaved items, in the file's order."""
    with (resources.files("airportsdata") / "airports.csv").open(encoding="utf-8") as file:
        return [_item(row) for row in islice(csv.DictReader(file), first)]


def save_items(items: list[CatalogItem]) -> None:
    """Insert items, or update those that are there: an import may be run again at any time."""
    CatalogItem.objects.bulk_create(
        items, update_conflicts=True, unique_fields=["code"], update_fields=_UPDATED_FIELDS
    )


def batches(items: list[CatalogItem], size: int) -> Iterator[list[CatalogItem]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def search_text(item: CatalogItem) -> str:
    """Return the words by which an item is found: lower case, without accents, each once."""
    text = " ".join([item.code, item.name, item.city, item.country, item.timezone.replace("/", " ")])
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(dict.fromkeys(plain.replace("_", " ").split()))


def _item(row: dict[str, str]) -> CatalogItem:
    elevation = round(float(row["elevation"] or 0))
    return CatalogItem(
        code=row["icao"],
        name=row["name"],
        city=row["city"],
        country=row["country"],
        elevation_feet=elevation,
        latitude=float(row["lat"]),
        longitude=float(row["lon"]),
        timezone=row["tz"],
        price_cents=BASE_PRICE_CENTS + max(elevation, 0) // 1000 * CENTS_PER_1000_FEET,
    )
