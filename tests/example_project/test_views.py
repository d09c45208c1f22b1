"""The shop's page: what there is, and how the jobs are doing."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import RequestFactory

from example_project.shop import jobs
from example_project.shop.models import CatalogItem
from example_project.shop.views import overview


def test_overview_shows_counts_jobs_and_pictures(
    catalog: list[CatalogItem], settings: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT, settings.MEDIA_URL = str(tmp_path), "/media/"
    jobs.draw_thumbnail(catalog[0].code)
    jobs.index_item.enqueue(catalog[1].code)
    page = overview(RequestFactory().get("/")).content.decode()
    assert "<dt>catalog items</dt><dd>20</dd>" in page
    assert "<dt>queued</dt><dd>1</dd>" in page
    assert f'src="/media/thumbnails/{catalog[0].code}.png"' in page


@pytest.mark.django_db
def test_overview_of_an_empty_shop() -> None:
    page = overview(RequestFactory().get("/")).content.decode()
    assert "none yet" in page
