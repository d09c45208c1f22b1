"""JobStoreContract: what every JobStore must do, as tests that run on yours.

    @pytest.mark.django_db(transaction=True)
    class TestEmailJobStore(JobStoreContract):
        can_pass_time = False

        def make_store(self):
            return EmailJobStore()

        def add_job(self, new):
            job = EmailJob.objects.create(parameters=new.parameters, max_retries=new.max_retries, ...)
            return job.id

        def delete_job(self, job_id):
            EmailJob.objects.filter(id=job_id).update(deleted_at=timezone.now())

Three methods tell the tests how to make the store, and how to add and delete a job. A store of only
the eleven methods switches off what it cannot do (``StoreAbilities`` lists the switches); the tests
of that are then skipped, and the others insist that the store says so instead of doing it wrong.
A store that says ``supports_limits`` fills in ``set_limit`` and ``cancel_job`` as well.
"""

from __future__ import annotations

from pleme_redis_django.testing.store_contract.claims import ClaimTests
from pleme_redis_django.testing.store_contract.endings import EndingTests
from pleme_redis_django.testing.store_contract.fencing import FencingTests
from pleme_redis_django.testing.store_contract.finding import FindingTests
from pleme_redis_django.testing.store_contract.limits import LimitTests
from pleme_redis_django.testing.store_contract.subject import NewJob, StoreAbilities, StoreSubject
from pleme_redis_django.testing.store_contract.threads import ConcurrencyTests

__all__ = [
    "ConcurrencyTests",
    "JobStoreContract",
    "NewJob",
    "OneThreadTests",
    "StoreAbilities",
    "StoreSubject",
]


class OneThreadTests(ClaimTests, EndingTests, FencingTests, FindingTests, LimitTests):
    """The part that runs in one thread, and so inside a test's transaction, which is faster."""


class JobStoreContract(OneThreadTests, ConcurrencyTests):
    """Subclass it under a name that pytest collects (``Test...``), and fill in the three methods."""
