"""Draws the card of a catalog item: where the airport is among all others, and what it is called."""

from __future__ import annotations

import functools
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from example_project.shop.catalog import read_catalog
from example_project.shop.models import CatalogItem

WIDTH, HEIGHT = 480, 320
MAP_HEIGHT = WIDTH // 2
GRID_DEGREES = 30
HIGHEST_FEET = 14_500
SEA_SKY, HIGH_SKY = (150, 200, 240), (18, 32, 84)
FAINT, DOTS = 40, 170
INK, LINES, MARK = (255, 255, 255), (235, 245, 255), (255, 196, 0)


def draw_card(item: CatalogItem) -> bytes:
    """Return the card as PNG: the sky darkens with the elevation, the mark is at its coordinates."""
    image = Image.new("RGB", (WIDTH, HEIGHT), _sky(item.elevation_feet))
    image.paste(LINES, mask=_world())
    draw = ImageDraw.Draw(image)
    _draw_mark(draw, *_position(item.latitude, item.longitude))
    draw.text((12, MAP_HEIGHT + 8), item.code, fill=MARK, font=ImageFont.load_default(size=30))
    draw.text((12, MAP_HEIGHT + 48), _fitting(item.name), fill=INK, font=ImageFont.load_default(size=16))
    caption = f"{item.city or item.country}  {item.elevation_feet:,} ft"
    draw.text((130, MAP_HEIGHT + 16), _fitting(caption), fill=INK, font=ImageFont.load_default(size=16))
    output = BytesIO()
    image.save(output, format="PNG", optimize=True)
    return output.getvalue()


def _sky(elevation_feet: int) -> tuple[int, ...]:
    height = min(max(elevation_feet, 0) / HIGHEST_FEET, 1.0)
    return tuple(round(low + (high - low) * height) for low, high in zip(SEA_SKY, HIGH_SKY, strict=True))


def _position(latitude: float, longitude: float) -> tuple[float, float]:
    """Return pixels of the equirectangular projection."""
    return (longitude + 180) / 360 * WIDTH, (90 - latitude) / 180 * MAP_HEIGHT


@functools.cache
def _world() -> Image.Image:
    """Return the map as a mask: a grid, and a dot for every airport, which together show the continents."""
    world = Image.new("L", (WIDTH, HEIGHT), 0)
    draw = ImageDraw.Draw(world)
    for longitude in range(-180, 181, GRID_DEGREES):
        x, _ = _position(0, longitude)
        draw.line([(x, 0), (x, MAP_HEIGHT)], fill=FAINT)
    for latitude in range(-90, 91, GRID_DEGREES):
        _, y = _position(latitude, 0)
        draw.line([(0, y), (WIDTH, y)], fill=FAINT)
    draw.point([_position(item.latitude, item.longitude) for item in read_catalog()], fill=DOTS)
    return world


def _draw_mark(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    draw.line([(x - 16, y), (x + 16, y)], fill=MARK, width=2)
    draw.line([(x, y - 16), (x, y + 16)], fill=MARK, width=2)
    draw.ellipse([(x - 6, y - 6), (x + 6, y + 6)], outline=MARK, width=3)


def _fitting(text: str) -> str:
    return text if len(text) <= 44 else f"{text[:41]}..."
