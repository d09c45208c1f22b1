"""How a search is read as terms, and what it says when it does not understand one."""

from __future__ import annotations

import pytest
from django.test import Client

from pleme_redis_django.admin.search.terms import QUALIFIERS, Term, parse_search

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("  shop.import ", [Term(key="", value="shop.import")]),
        ("status:failed queue:email", [Term(key="status", value="failed"), Term(key="queue", value="email")]),
        ("STATUS:failed", [Term(key="status", value="failed")]),
        ('type:"a b: c"', [Term(key="type", value="a b: c", is_quoted=True)]),
        (r'"say \"hi\" \\"', [Term(key="", value=r'say "hi" ' + "\\", is_quoted=True)]),
        ("param.a.b:1", [Term(key="param", value="1", path=("a", "b"))]),
        ('param."a.b c".d:x', [Term(key="param", value="x", path=("a.b c", "d"))]),
        ("after:2026-11-20T13:05", [Term(key="after", value="2026-11-20T13:05")]),
        ("</pre>", [Term(key="", value="</pre>")]),
    ],
)
def test_a_search_is_read_as_terms(text: str, terms: list[Term]) -> None:
    assert parse_search(text) == terms


def test_every_qualifier_is_in_the_help(admin_client: Client) -> None:
    page = admin_client.get("/admin/pleme_redis_django/job/").content.decode()
    assert [name for name in QUALIFIERS if f"{name}:" not in page and f"{name}." not in page] == []
