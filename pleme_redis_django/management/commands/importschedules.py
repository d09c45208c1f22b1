"""``manage.py importschedules``: makes schedules of what other schedulers have."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections

from pleme_redis_django.adoption.schedules.celery_beat import celery_beat_entries
from pleme_redis_django.adoption.schedules.django_q import django_q_entries
from pleme_redis_django.adoption.schedules.entry import Entry
from pleme_redis_django.adoption.schedules.importing import Imports, import_entries
from pleme_redis_django.adoption.schedules.rq_scheduler import rq_scheduler_entries
from pleme_redis_django.adoption.schedules.tables import PeriodicTask, QSchedule
from pleme_redis_django.conf import get_settings, resolve_product
from pleme_redis_django.event_log import first_line
from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.wording import did_you_mean

SOURCES = ("celery-beat", "django-q2", "rq-scheduler")
EXIT_LEFT_OVER = 1
EXIT_CANNOT_ASK = 2
EPILOG = """\
Exit codes: 0 all is imported, is there already, or could be imported; 1 something cannot be expressed; 2 a wrong
option, or the other scheduler's tables or server cannot be read. Run it again at any time: a name that is there is
left as it is. Nothing is changed in the other scheduler: stop it before workers fire what was imported.
"""


class Command(BaseCommand):
    help = "Import the schedules of django-celery-beat, django-q2 or rq-scheduler, and list what cannot be expressed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = EPILOG
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.add_argument("source", choices=SOURCES, help=f"{', '.join(SOURCES)}.")
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be imported.")
        parser.add_argument("--product", help="Of the schedules; default that of the settings.")
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="OLD=NEW",
            help="What OLD is there is the job NEW here; repeatable. Default: the job of the same name.",
        )
        parser.add_argument(
            "--database", help="Alias of the other scheduler's tables; default that of the jobs."
        )
        parser.add_argument(
            "--redis-url", help="Where rq-scheduler keeps its jobs; default that of the settings."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        renamed = _renamed(options["map"])
        try:
            imports = import_entries(
                _entries(options["source"], options["database"], options["redis_url"]),
                product=resolve_product(options["product"]),
                using=get_settings().database,
                renamed=renamed,
                dry_run=options["dry_run"],
            )
        except DatabaseError as error:
            message = (
                f"The schedules cannot be imported: {first_line(error)}. Is the server up, was migrate run, and is the "
                "other scheduler of the version that the guide names?"
            )
            raise CommandError(message, returncode=EXIT_CANNOT_ASK) from error
        except (PlemeError, ValueError) as error:
            raise CommandError(str(error), returncode=EXIT_CANNOT_ASK) from None
        self._tell(imports, options["dry_run"])
        unused = sorted(renamed.keys() - imports.paths)
        # What is there already is not read again, and may be what calls it.
        if unused and not imports.there:
            self.stdout.write(f"--map: no entry calls {', '.join(unused)}")
        self._sum_up(imports, options["dry_run"])

    def _tell(self, imports: Imports, dry_run: bool) -> None:
        done = "could be imported" if dry_run else "imported"
        for schedule in imports.imported:
            self._write(f"{done}: {schedule.name}: {schedule.words}")
            for note in schedule.notes:
                self._write(f"  {note}")
        for name in imports.there:
            self._write(f"already there, left as it is: {name}")
        for name, reason in imports.not_needed:
            self._write(f"not needed: {name}: {reason}")
        for name, reason in imports.refused:
            self._write(f"cannot be expressed: {name}: {reason.rstrip('.')}.")

    def _write(self, line: str) -> None:
        """Write one line, whatever is in the names: of others' data, a terminal may obey what is not printable."""
        self.stdout.write(
            "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
        )

    def _sum_up(self, imports: Imports, dry_run: bool) -> None:
        counts = (
            f"{'could be imported' if dry_run else 'imported'} {len(imports.imported)}, "
            f"already there {len(imports.there)}, cannot be expressed {len(imports.refused)}"
        )
        if imports.not_needed:
            counts = f"{counts}, not needed {len(imports.not_needed)}"
        self.stdout.write(counts)
        if imports.refused:
            raise CommandError("Some entries cannot be expressed as schedules.", returncode=EXIT_LEFT_OVER)


def _entries(source: str, database: str | None, redis_url: str | None) -> Iterable[Entry]:
    if source == "rq-scheduler":
        if database is not None:
            raise CommandError(
                "--database is of tables, and rq-scheduler has none.", returncode=EXIT_CANNOT_ASK
            )
        return rq_scheduler_entries(redis_url)
    if redis_url is not None:
        raise CommandError(
            f"--redis-url is of rq-scheduler alone, not of {source}.", returncode=EXIT_CANNOT_ASK
        )
    alias = database or get_settings().database
    if alias not in connections:
        accepted = ", ".join(connections)
        message = f'--database is "{alias}". Accepted: {accepted}.'
        raise CommandError(message, returncode=EXIT_CANNOT_ASK)
    table = PeriodicTask if source == "celery-beat" else QSchedule
    connection = connections[alias]
    with connection.cursor() as cursor:
        if table._meta.db_table not in connection.introspection.table_names(cursor):
            message = (
                f'The database "{alias}" has no {table._meta.db_table}. Name the one that has: --database.'
            )
            raise CommandError(message, returncode=EXIT_CANNOT_ASK)
    return celery_beat_entries(alias) if source == "celery-beat" else django_q_entries(alias)


def _renamed(pairs: Sequence[str]) -> dict[str, str]:
    """Return what ``--map`` says. Raises CommandError."""
    renamed: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not (old and equals and new):
            raise CommandError(
                f'--map is "{pair}". Accepted: OLD=NEW, such as shop.tasks.send=shop.jobs.send.',
                returncode=EXIT_CANNOT_ASK,
            )
        if renamed.setdefault(old, new) != new:
            raise CommandError(f"--map names two jobs for {old}.", returncode=EXIT_CANNOT_ASK)
        if registry.find(new) is None:
            known = [each.name for each in registry]
            hint = did_you_mean(new, known, otherwise="Decorate its function with @job.")
            raise CommandError(f'--map: no @job is named "{new}". {hint}', returncode=EXIT_CANNOT_ASK)
    return renamed
