"""Jobs of two tenants with django-tenants itself, run by a real worker process. ``make tenants`` calls this."""

from __future__ import annotations

import os
import subprocess
import sys

from pleme_redis_django.testing.servers import PostgresServer


def main() -> None:
    server = PostgresServer(durable=False).start()
    try:
        os.environ |= {"DATABASE_URL": server.url, "DJANGO_SETTINGS_MODULE": "tests.tenants.settings"}
        import django

        django.setup()
        make_tenants()
        enqueue()
        subprocess.run([sys.executable, "-m", "django", "runworkers", "--burst"], check=True)
        look()
    finally:
        server.stop()


def make_tenants() -> None:
    from django.core.management import call_command

    from tests.tenants.customers.models import Customer

    call_command("migrate_schemas", "--shared", verbosity=0)
    for name in ("berlin", "paris"):
        Customer.objects.create(schema_name=name, name=name)


def enqueue() -> None:
    from django.db import connection
    from django_tenants.utils import schema_context

    from tests.tenants.orders import jobs

    for name in ("berlin", "paris"):
        with schema_context(name):
            for number in range(3 if name == "berlin" else 1):
                jobs.add_order.enqueue(f"{name} {number}")
            jobs.fail_in_schema.enqueue()
            jobs.current_schema.enqueue()
            assert jobs.once.enqueue(name="one") == jobs.once.enqueue(name="one")
    assert connection.schema_name == "public"
    jobs.current_schema.enqueue()


def look() -> None:
    from pleme_redis_django import Job
    from tests.tenants.orders import jobs

    assert not Job.objects.exclude(status__in=["COMPLETED", "FAILED"]).exists()
    found = {
        (job.metadata.get("tenant_schema"), str(job.results))
        for job in Job.objects.filter(job_type=jobs.current_schema.name)
    }
    assert found == {("berlin", "berlin, public"), ("paris", "paris, public"), (None, "public")}, found
    added = Job.objects.filter(job_type=jobs.add_order.name)
    assert sorted(job.results for job in added) == ["berlin"] * 3 + ["paris"]
    # What a job enqueues is of its tenant too.
    counted = Job.objects.filter(job_type=jobs.count_orders.name)
    largest = {
        name: max(job.results for job in counted.filter(metadata__tenant_schema=name))
        for name in ("berlin", "paris")
    }
    assert (counted.count(), largest) == (4, {"berlin": 3, "paris": 1}), largest
    failed = Job.objects.filter(job_type=jobs.fail_in_schema.name)
    assert sorted(job.error_message for job in failed) == ["berlin", "paris"]
    # Jobs that are equal in two schemas are two.
    once = Job.objects.filter(job_type=jobs.once.name)
    assert sorted(job.results for job in once) == ["berlin", "paris"]
    look_at_async_jobs()
    print("django-tenants: every job ran in the schema it was enqueued in.")  # noqa: T201 - a program of its own


def look_at_async_jobs() -> None:
    from django_tenants.utils import schema_context

    from pleme_redis_django import Job
    from tests.tenants.orders import jobs

    for name in ("berlin", "paris"):
        with schema_context(name):
            jobs.acount_orders.enqueue_many([{}] * 5)
    subprocess.run([sys.executable, "-m", "django", "runworkers", "--burst"], check=True)
    for name, texts in (("berlin", ["berlin 0", "berlin 1", "berlin 2"]), ("paris", ["paris 0"])):
        ended = Job.objects.filter(
            job_type=jobs.acount_orders.name, metadata__tenant_schema=name, status="COMPLETED"
        )
        assert [job.results for job in ended] == [texts] * 5, name


if __name__ == "__main__":
    main()
