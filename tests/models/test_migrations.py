"""The tables are those of the migrations, and the migrations of projects name what does not move."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.db.migrations.writer import MigrationWriter

from pleme_redis_django.models import new_job_id


@pytest.mark.django_db
@pytest.mark.parametrize("app", ["pleme_redis_django", "shop"])
def test_the_models_are_those_of_the_migrations(app: str) -> None:
    out = StringIO()
    call_command("makemigrations", app, check_changes=True, dry_run=True, stdout=out)
    assert "No changes detected" in out.getvalue()


def test_a_migration_names_the_default_of_an_id_by_the_module_that_stays() -> None:
    written, imports = MigrationWriter.serialize(new_job_id)
    assert (written, imports) == (
        "pleme_redis_django.models.new_job_id",
        {"import pleme_redis_django.models"},
    )
