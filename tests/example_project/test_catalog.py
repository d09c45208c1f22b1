"""The catalog: real airports, imported as often as one likes."""

from __future__ import annotations

import pytest

from example_project.shop.catalog import batches, read_catalog, save_items, search_text
from example_project.shop.models import CatalogItem


def test_data_set_has_thousands_of_airports() -> None:
    items = read_catalog()
    assert len(items) > 20_000
    assert len({item.code for item in items}) == len(items)
    [zurich] = [item for item in items if item.code == "LSZH"]
    assert (zurich.country, zurich.elevation_feet) == ("CH", 1416)
    assert zurich.latitude == pytest.approx(47.46, abs=0.05)


def test_a_print_costs_more_the_higher_its_airport_lies() -> None:
    prices = {item.code: item.price_cents for item in read_catalog()}
    assert prices["EHAM"] == 2400  # Amsterdam, 11 feet below the sea
    assert prices["LSZH"] == 2500  # Zurich, 1,416 feet
    assert prices["SLLP"] == 3700  # La Paz, 13,325 feet


@pytest.mark.django_db
def test_second_import_updates_and_keeps_what_jobs_have_added() -> None:
    items = read_catalog(first=10)
    save_items(items)
    CatalogItem.objects.filter(code=items[0].code).update(name="outdated", search_text="kept")
    save_items(read_catalog(first=10))
    first = CatalogItem.objects.get(code=items[0].code)
    assert CatalogItem.objects.count() == 10
    assert (first.name, first.search_text) == (items[0].name, "kept")


def test_items_are_found_without_accents_and_case() -> None:
    item = CatalogItem(
        code="SBGR",
        name="Guarulhos Gov. André Franco",
        city="São Paulo",
        country="BR",
        timezone="America/Sao_Paulo",
    )
    assert search_text(item) == "sbgr guarulhos gov. andre franco sao paulo br america"


def test_batches_keep_order_and_lose_nothing() -> None:
    items = read_catalog(first=250)
    cut = list(batches(items, 100))
    assert [len(batch) for batch in cut] == [100, 100, 50]
    assert [item for batch in cut for item in batch] == items
