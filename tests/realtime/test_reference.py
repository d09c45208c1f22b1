"""The protocol's page is compared with the code."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.frames import SCHEMA, ErrorCode
from pleme_redis_django.realtime.limits import ClientLimits

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "protocol.md").read_text(encoding="utf-8")


def test_every_limit_and_its_default() -> None:
    documented = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE, flags=re.M))
    assert documented == {field.name: str(field.default) for field in dataclasses.fields(ClientLimits)}


def test_every_code() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d{3,4}) \|", PAGE, flags=re.M)}
    assert codes == {*map(int, CloseCode), *map(int, ErrorCode)}


def test_every_command_and_field() -> None:
    section = PAGE.partition("## Commands")[2].partition("## Pushes")[0]
    for name, fields in SCHEMA.items():
        assert f"`{name}`" in section
        for field in fields:
            assert f"`{field}`" in section, (name, field)
