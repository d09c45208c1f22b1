"""The nonce of a Content-Security-Policy: on every tag of the pages, whichever middleware makes it."""

from __future__ import annotations

import re
from typing import Any

import django
import pytest
from django.test import Client

from tests.rows import make_job

ROOT = "/admin/pleme_redis_django/dashboard/"


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django makes nonces from 6.0 on")
def test_files_carry_the_nonce_of_the_policy(admin_client: Client, settings: Any) -> None:
    from django.utils.csp import CSP

    settings.MIDDLEWARE = ["django.middleware.csp.ContentSecurityPolicyMiddleware", *settings.MIDDLEWARE[1:]]
    settings.SECURE_CSP = {"default-src": [CSP.SELF], "script-src": [CSP.NONCE]}
    answer = admin_client.get(ROOT)
    found = re.search("'nonce-([^']+)'", answer.headers["Content-Security-Policy"])
    assert found
    tags = re.findall(r"<script[^>]*src=[^>]*pleme_redis_django[^>]*>", answer.content.decode())
    assert len(tags) == 3
    assert all(f'nonce="{found[1]}"' in tag for tag in tags)


def set_nonce(get_response: Any) -> Any:
    """Do what django-csp does to a request."""

    def middleware(request: Any) -> Any:
        request.csp_nonce = "n0nce"
        return get_response(request)

    return middleware


def test_scripts_of_every_page_carry_the_nonce_that_there_is(admin_client: Client, settings: Any) -> None:
    settings.MIDDLEWARE = [f"{__name__}.set_nonce", *settings.MIDDLEWARE]
    job = make_job()
    selected = {"action": "delete_selected", "_selected_action": str(job.pk)}
    pages = [
        admin_client.get(ROOT),
        admin_client.get(f"/admin/pleme_redis_django/job/{job.pk}/change/"),
        admin_client.post("/admin/pleme_redis_django/job/", selected),
    ]
    for page in pages:
        tags = re.findall(r"<script[^>]*src=[^>]*pleme_redis_django[^>]*>", page.content.decode())
        assert tags
        assert all('nonce="n0nce"' in tag for tag in tags)
