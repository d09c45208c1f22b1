"""The client's guide names all that pleme.d.ts declares, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pleme_redis_django
from tests.docs.pages import DOCS, code, rows

GUIDE = DOCS / "guides" / "client.md"
TYPES = (Path(pleme_redis_django.__file__).parent / "static" / "pleme_redis_django" / "pleme.d.ts").read_text(
    encoding="utf-8"
)
TYPE = re.compile(r"^export (?:interface|declare class) (\w+)[^{]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
MEMBER = re.compile(r"^  (?:readonly )?(\w+)\??(?:<.*?>)?(?:\(name: (\"\w+\"))?[:(,]", re.MULTILINE)
OPTIONAL = re.compile(r"(\w+)\?:")

BODIES = {name: body for name, body in TYPE.findall(TYPES) if name != "PlemeOptions"}


def _declared(body: str) -> dict[str, str]:
    """Return the declaration of each member by its name; one of ``on`` is named with its event."""
    found = list(MEMBER.finditer(body))
    ends = [each.start() for each in found[1:]] + [len(body)]
    return {
        f"on({each[2]})" if each[2] else each[1]: body[each.start() : end]
        for each, end in zip(found, ends, strict=True)
    }


def _documented(name: str) -> dict[str, str]:
    table = rows(GUIDE, f"Of `{name}`")
    return {_member(code(row[f"Of `{name}`"])): " ".join(row.values()) for row in table}


def _member(signature: str) -> str:
    return signature if signature.startswith("on(") else signature.split("(")[0]


@pytest.mark.parametrize("name", BODIES)
def test_members_of_a_type(name: str) -> None:
    assert _documented(name).keys() == _declared(BODIES[name]).keys()


def test_options_are_named() -> None:
    text = _documented("Pleme")
    for member, declaration in _declared(BODIES["Pleme"]).items():
        for option in OPTIONAL.findall(declaration):
            assert option == "options" or f"`{option}" in text[member], (member, option)
    [options] = (body for name, body in TYPE.findall(TYPES) if name == "PlemeOptions")
    assert set(OPTIONAL.findall(options)) <= set(re.findall(r"\w+", text["constructor"]))


def test_exported_functions_are_named() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    functions = re.findall(r"^export declare function (\w+)", TYPES, re.MULTILINE)
    assert functions
    assert [name for name in functions if f"`{name}(" not in guide] == []
