"""The quickstart, followed to the letter in a fresh project: its files written, its commands run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, CodeBlock, code_blocks

QUICKSTART = DOCS / "quickstart.md"


class Project:
    """A Django project in a folder of its own, on SQLite."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self._redis_url = redis_url
        # Redis is this run's, and the package is where it is, installed or not.
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
            "PYTHONPATH": str(ROOT),
        }
        self.run("-m", "django", "startproject", "mysite", ".")
        self.run("manage.py", "startapp", "shop")
        self.append("settings.py", 'INSTALLED_APPS += ["shop"]\n')

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run ``python <arguments>`` and return its output; the exit code must be 0."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def append(self, name: str, text: str) -> None:
        with (self.folder / "mysite" / name).open("a", encoding="utf-8") as settings:
            settings.write(text.replace("redis://127.0.0.1:6379/0", self._redis_url))

    def follow(self, block: CodeBlock) -> str:
        """Do what a block of the page says; return what was printed."""
        kind, _, name = block.mark.partition(": ")
        if kind == "append":
            self.append(name, block.text)
        elif kind == "file":
            (self.folder / name).write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            return "".join(self._command(line) for line in block.text.splitlines())
        return ""

    def _command(self, line: str) -> str:
        dollar, python, *arguments = line.split()
        assert (dollar, python) == ("$", "python")
        if arguments[:3] == ["-m", "pip", "install"]:
            return ""
        if arguments[-2:-1] == ["<"]:
            return self.run(*arguments[:-2], stdin=(self.folder / arguments[-1]).read_text(encoding="utf-8"))
        return self.run(*arguments)


@pytest.fixture
def project(tmp_path: Path, process_environment: dict[str, str]) -> Iterator[Project]:
    return Project(tmp_path, process_environment["REDIS_URL"])


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_quickstart_works_as_written(project: Project) -> None:
    printed = {block.line: project.follow(block) for block in code_blocks(QUICKSTART)}
    output = "".join(printed.values())
    assert "Applying pleme_redis_django.0001_initial... OK" in output
    assert "job types  shop.jobs.send_welcome_email" in output
    assert "job completed" in output
    last = list(printed.values())[-1]
    assert "Subject: Welcome!" in output and "Subject: Still there?" not in output
    assert "'sent_to': 'user@example.com'" in last and "'note': 'writing to Alice'" in last
    assert _statuses(project) == ["COMPLETED", "PENDING"]


def _statuses(project: Project) -> list[str]:
    program = "from pleme_redis_django import Job; print(*Job.objects.values_list('status', flat=True))"
    return sorted(project.run("manage.py", "shell", "-c", program).splitlines()[-1].split())
