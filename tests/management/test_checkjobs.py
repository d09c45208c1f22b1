"""``manage.py checkjobs``: what it prints, and how it exits."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from pleme_redis_django.models import Job
from tests.enqueueing.jobs import send
from tests.rows import make_job


def output_of(*arguments: str) -> str:
    stream = io.StringIO()
    call_command("checkjobs", *arguments, stdout=stream)
    return stream.getvalue()


@pytest.mark.django_db
def test_a_table_that_fits_is_fine() -> None:
    send.enqueue(to="a")
    text = output_of()
    assert "pleme_redis_django.Job: read 1 open job\n" in text
    assert text.endswith("This code can run all of it.\n")


@pytest.mark.django_db
def test_what_does_not_fit_is_listed_and_the_command_fails() -> None:
    stream = io.StringIO()
    job = send.enqueue(to="a")
    Job.objects.update(parameters={"receiver": "a"})
    with pytest.raises(CommandError, match="This code cannot run 1 thing of those listed"):
        call_command("checkjobs", stdout=stream)
    assert (
        f"missing ['to'], unknown ['receiver'].  (1 job, such as {job.id})".replace(".  (", ". (")
        in stream.getvalue()
    )


@pytest.mark.django_db
def test_a_release_is_written_and_compared(tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    assert "wrote " in output_of("--write", str(path))
    assert output_of("--against", str(path)).endswith("This code can run all of it.\n")
    path.write_text(path.read_text().replace(f'"{send.name}"', '"shop.jobs.moved"'))
    with pytest.raises(CommandError, match="1 thing"):
        output_of("--against", str(path))


@pytest.mark.django_db
@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_bad_limit_is_refused(limit: str) -> None:
    with pytest.raises(CommandError, match="Accepted: a whole number from 1"):
        output_of(f"--limit={limit}")


@pytest.mark.django_db
def test_a_limit_is_said() -> None:
    for _ in range(2):
        make_job(job_type=send.name, parameters={"to": "a"})
    assert "read 1 open job; there are more, --limit is 1" in output_of("--limit", "1")


def test_a_file_that_is_not_there_is_an_error_without_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        output_of("--against", str(tmp_path / "none.json"))
