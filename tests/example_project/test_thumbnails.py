"""Thumbnails: pictures that show where an airport is."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from example_project.shop.models import CatalogItem
from example_project.shop.thumbnails import HEIGHT, MAP_HEIGHT, MARK, WIDTH, draw_card


def card(**changes: object) -> Image.Image:
    values = {"code": "LSZH", "name": "Zurich Airport", "country": "CH", "elevation_feet": 1417} | changes
    return Image.open(BytesIO(draw_card(CatalogItem(**{"latitude": 47.46, "longitude": 8.55, **values}))))


def test_card_is_a_png_of_the_stated_size() -> None:
    picture = card()
    assert (picture.format, picture.size) == ("PNG", (WIDTH, HEIGHT))


def test_mark_is_at_the_coordinates() -> None:
    picture = card(latitude=0, longitude=0)
    assert picture.getpixel((WIDTH // 2 + 12, MAP_HEIGHT // 2)) == MARK
    assert card(latitude=45, longitude=90).getpixel((WIDTH * 3 // 4 + 12, MAP_HEIGHT // 4)) == MARK


def test_sky_is_darker_above_high_airports() -> None:
    low, high = card(elevation_feet=-11), card(elevation_feet=14_000)
    corner = (WIDTH - 1, HEIGHT - 1)
    assert sum(high.getpixel(corner)) < sum(low.getpixel(corner))


def test_hostile_names_are_drawn_too() -> None:
    assert card(name="\u202e" + "x" * 500, city="\n\n").size == (WIDTH, HEIGHT)
