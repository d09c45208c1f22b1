"""Everything that the demo starts, in order; it all stops in reverse, whatever happens."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from django.core.management import call_command

from example_project import settings as project_settings
from example_project.demo.mail_server import MailServer
from example_project.demo.programs import (
    WORKER_PROCESSES_PER_POOL,
    running,
    wait_until_listening,
    web_arguments,
    worker_arguments,
)
from example_project.demo.steps import Steps
from pleme_redis_django.conf import get_settings
from pleme_redis_django.testing.servers import BackingServices
from pleme_redis_django.testing.servers.guarded_process import GuardedProcess
from pleme_redis_django.testing.servers.managed_server import free_port

WEB_PORT = 8000
DASHBOARD = "/admin/pleme_redis_django/dashboard/"
EMAIL_DASHBOARD = "/email/admin/pleme_redis_django/dashboard/"
SUPPORT_NAMES = ("ada", "ben")
USERNAME = PASSWORD = "admin"  # noqa: S105 - a demo on loopback


class Stage(AbstractContextManager["Stage"]):
    """The servers, the workers and, with ``web``, the site of one demo."""

    mail: MailServer
    workers: GuardedProcess

    def __init__(self, steps: Steps, *, web: bool, data_folder: Path | None = None) -> None:
        self._steps = steps
        self._web = web
        self._services = BackingServices(data_folder=data_folder)
        self._stack = ExitStack()
        self.folder = Path()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = tempfile.TemporaryDirectory(prefix="novaskyn-", ignore_cleanup_errors=True)
            self.folder = Path(stack.enter_context(temporary))
            self._start_servers(stack)
            self._prepare_database()
            self._start_programs(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        from django.db import connections

        connections.close_all()
        with self._steps.step("stopped: workers drained, servers ended"):
            self._stack.close()

    def _start_servers(self, stack: ExitStack) -> None:
        with self._steps.step("PostgreSQL and Redis ready") as remarks:
            stack.enter_context(self._services)
            remarks += [f"({name} is set)" for name, used in self._services.given().items() if used]
        with self._steps.step("mail server started") as remarks:
            self.mail = MailServer(self.folder / "mail", free_port())
            self.mail.start()
            stack.callback(self.mail.stop)
            remarks.append(f"on {self.mail.address}, mails go to {self.folder / 'mail'}")
        self._point_settings_at_them()

    def _point_settings_at_them(self) -> None:
        """Have this process, and those that it starts, use the servers."""
        addresses = {
            "database_url": self._services.database_url,
            "redis_url": self._services.redis_url,
            "smtp_address": self.mail.address,
        }
        project_settings.use_servers(**addresses)
        get_settings.cache_clear()
        os.environ["DATABASE_URL"] = addresses["database_url"]
        os.environ["REDIS_URL"] = addresses["redis_url"]
        os.environ["DEMO_SMTP_ADDRESS"] = addresses["smtp_address"]
        os.environ["DEMO_MEDIA_FOLDER"] = str(self.folder / "media")
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")

    def _prepare_database(self) -> None:
        with self._steps.step("database migrated"):
            call_command("migrate", verbosity=0, interactive=False)
        with self._steps.step("user admin created, password admin"):
            _create_admin()
            _create_support()

    def _start_programs(self, stack: ExitStack) -> None:
        with self._steps.step(f"{WORKER_PROCESSES_PER_POOL} worker processes a pool started") as remarks:
            self.workers = stack.enter_context(running("workers", worker_arguments(), self.folder))
            remarks.append(f"(log: {self.folder / 'workers.log'})")
        if self._web:
            port = _free_web_port(self._steps)
            with self._steps.step("web server started") as remarks:
                web = stack.enter_context(running("web", web_arguments(port), self.folder))
                wait_until_listening(web, port)
                remarks.append(f"on http://127.0.0.1:{port}/")
            self._steps.say()
            site = f"http://127.0.0.1:{port}"
            self._steps.say(f"          dashboard  {site}{DASHBOARD}  (admin / admin)")
            self._steps.say(f"          e-mails    {site}{EMAIL_DASHBOARD}")
            self._steps.say(f"          shop       {site}/")
            self._steps.say(f"          chat       {site}/support/  (ada / ada, ben / ben)")
            self._steps.say()


def _create_admin() -> None:
    from django.contrib.auth.models import User

    if not User.objects.filter(username=USERNAME).exists():
        User.objects.create_superuser(USERNAME, "admin@novaskyn.example", PASSWORD)


def _create_support() -> None:
    """Two people to chat with each other, in two browsers; the password is the name."""
    from django.contrib.auth.models import User

    for name in SUPPORT_NAMES:
        if not User.objects.filter(username=name).exists():
            User.objects.create_user(name, f"{name}@novaskyn.example", name)


def _free_web_port(steps: Steps) -> int:
    with socket.socket() as probe:
        # As uvicorn does: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", WEB_PORT))
        except OSError:
            port = free_port()
            steps.say(
                f"          Port {WEB_PORT} is taken by another program, so the web server gets {port}."
            )
            return port
    return WEB_PORT
