"""Which of the ready jobs a claim may take: by product, by type, and past pauses."""

from __future__ import annotations

from itertools import product

import pytest

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.narrowing import narrowed
from pleme_redis_django.orm_store.pauses import NOTHING_PAUSED, Pauses
from tests.rows import make_job

MAIL = Pauses(ids=(1,), queue_names=frozenset({"mail"}))
MAIL_OF_ACME = Pauses(ids=(1,), of_products=frozenset({("mail", "acme")}))


@pytest.mark.django_db(databases=["default", "sqlite"])
@pytest.mark.parametrize("using", ["default", "sqlite"])
@pytest.mark.parametrize(
    ("selection", "pauses", "count"),
    [
        (JobSelection(), NOTHING_PAUSED, 8),
        (JobSelection(product="acme"), NOTHING_PAUSED, 4),
        (JobSelection(job_types=frozenset({"a"})), NOTHING_PAUSED, 4),
        (JobSelection(product="acme", job_types=frozenset({"a"})), NOTHING_PAUSED, 2),
        (JobSelection(), MAIL, 4),
        (JobSelection(), MAIL_OF_ACME, 6),
        (JobSelection(product="globex"), MAIL_OF_ACME, 4),
    ],
)
def test_each_condition_leaves_out_its_own(
    using: str, selection: JobSelection, pauses: Pauses, count: int
) -> None:
    for of_product, job_type, queue_name in product(("acme", "globex"), ("a", "b"), ("mail", "report")):
        make_job(using, product=of_product, job_type=job_type, queue_name=queue_name)
    assert Job.objects.using(using).filter(narrowed(selection, pauses)).count() == count
