"""Use the installed package from nothing: migrations, a job, a page, a socket, a lock. ``make dist-test`` runs it.

Runs as a program of the environment that the package was installed into, in an empty folder, with servers of its own.
It imports nothing of this repository.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import pleme_redis_django
from pleme_redis_django.testing.servers import BackingServices

SETTINGS = """
import os
from pleme_redis_django.testing.servers.postgres_server import database_settings

INSTALLED_APPS += ["pleme_redis_django", "shop"]
DATABASES = {"default": database_settings(os.environ["DATABASE_URL"])}
PLEME_REDIS = {
    "URL": os.environ["REDIS_URL"], "PRODUCT": "acme", "CHANNELS": {"room:*": {"subscribe": "authenticated"}},
}
ASGI_APPLICATION = "mysite.asgi.application"
STATIC_ROOT = "collected"
ALLOWED_HOSTS = ["localhost"]
"""
ASGI = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
http_application = ASGIStaticFilesHandler(get_asgi_application())
from channels.routing import ProtocolTypeRouter
from pleme_redis_django.realtime.routing import websocket_application
application = ProtocolTypeRouter({"http": http_application, "websocket": websocket_application()})
"""
JOBS = """
from pleme_redis_django import job

@job
def greet(name: str) -> dict[str, str]:
    return {"greeting": f"Hello {name}"}
"""
DASHBOARD = "/admin/pleme_redis_django/dashboard/"
SERVER_SECONDS = 60
LOOK_SECONDS = 0.05


def main() -> None:
    folder = Path.cwd()
    installed = Path(str(pleme_redis_django.__file__)).resolve()
    assert installed.is_relative_to(Path(sys.prefix).resolve()), f"{installed} is not of this environment"
    make_project(folder)
    with BackingServices() as services:
        os.environ.update(DATABASE_URL=services.database_url, REDIS_URL=services.redis_url)
        os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
        manage("check")
        say("migrations", manage("migrate").count("Applying pleme_redis_django."))
        manage("makemigrations", "--check", "pleme_redis_django")
        sys.path.insert(0, str(folder))
        import django

        django.setup()
        run_a_job()
        load_every_script()
        take_a_lock()
        compile_every_template()
        manage("collectstatic", "--no-input")
        say(
            "static files",
            sum(1 for path in (folder / "collected" / "pleme_redis_django").rglob("*") if path.is_file()),
        )
        with web_server(folder) as path:
            cookie = log_in()
            look_at_the_dashboard(path, cookie)
            use_a_socket(path, cookie)


def say(what: str, found: object) -> None:
    assert found, f"no {what}"
    print(f"  {what}: {found}", flush=True)


def make_project(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "django", "startproject", "mysite", "."], check=True)
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "jobs.py").write_text(JOBS)
    (folder / "mysite" / "asgi.py").write_text(ASGI)
    with (folder / "mysite" / "settings.py").open("a") as settings:
        settings.write(SETTINGS)


def manage(*arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "manage.py", *arguments], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def run_a_job() -> None:
    from shop.jobs import greet

    job = greet.enqueue(name="Alice")
    manage("runworkers", "--burst", "--verbosity", "0")
    job.refresh_from_db()
    assert job.status == "COMPLETED", job.status
    say("job", job.results)


def load_every_script() -> None:
    from pleme_redis_django.redis_state.server.redis_call import redis_client
    from pleme_redis_django.redis_state.server.scripts import script

    names = [
        path.name.removesuffix(".lua")
        for path in resources.files("pleme_redis_django.redis_state").joinpath("lua").iterdir()
        if path.name.endswith(".lua")
    ]
    shas = [redis_client().script_load(script(name).source) for name in names]
    assert shas == [script(name).sha for name in names]
    say("Lua scripts", len(shas))


def take_a_lock() -> None:
    from pleme_redis_django import LockManager

    with LockManager().lock("till", ttl_seconds=30):
        assert LockManager().try_lock("till", ttl_seconds=30) is None
    say("lock", "held once")


def compile_every_template() -> None:
    from django.template.loader import get_template

    root = Path(str(pleme_redis_django.__file__)).parent / "templates"
    names = [path.relative_to(root).as_posix() for path in root.rglob("*.html")]
    for name in names:
        get_template(name)
    say("templates", len(names))
    assert (root.parent / "py.typed").is_file()


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serve the project with uvicorn on a unix socket; yield its path."""
    path = str(folder / "web.sock")
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "mysite.asgi:application",
        "--uds",
        path,
        "--log-level",
        "warning",
    ]
    process = subprocess.Popen(command)
    try:
        until = time.monotonic() + SERVER_SECONDS
        while not answers(path):
            assert process.poll() is None, "uvicorn has ended"
            assert time.monotonic() < until, "uvicorn does not answer"
            time.sleep(LOOK_SECONDS)
        yield path
    finally:
        process.terminate()
        process.wait(timeout=SERVER_SECONDS)


def connected(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection


def answers(path: str) -> bool:
    try:
        connected(path).close()
    except OSError:
        return False
    return True


def log_in() -> str:
    """Return the cookie of a superuser's session."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    client = Client()
    client.force_login(get_user_model().objects.create_superuser("admin", password="only-here"))
    return f"sessionid={client.cookies['sessionid'].value}"


def get(path: str, address: str, cookie: str) -> tuple[int, str]:
    client = http.client.HTTPConnection("localhost")
    client.sock = connected(path)
    client.request("GET", address, headers={"Cookie": cookie})
    answer = client.getresponse()
    return answer.status, answer.read().decode(errors="replace")


def look_at_the_dashboard(path: str, cookie: str) -> None:
    status, page = get(path, DASHBOARD, cookie)
    assert status == 200, (status, page[:500])
    files = sorted(set(re.findall(r'(?:src|href)="(/?static/[^"]+)"', page)))
    for address in files:
        assert get(path, address if address.startswith("/") else f"/{address}", cookie)[0] == 200, address
    say("dashboard", f"200, with {len(files)} static files")
    assert any("pleme_redis_django" in address for address in files), files


def use_a_socket(path: str, cookie: str) -> None:
    from websockets.sync.client import unix_connect

    from pleme_redis_django import PubSubManager

    with unix_connect(
        path,
        "ws://localhost/ws/pleme/",
        subprotocols=["pleme.v1"],
        origin="http://localhost",
        additional_headers={"Cookie": cookie},
    ) as client:
        client.send(json.dumps({"id": 1, "connect": {}}))
        assert json.loads(client.recv(timeout=10))["id"] == 1
        client.send(json.dumps({"id": 2, "sub": {"ch": "room:lobby"}}))
        assert json.loads(client.recv(timeout=10))["id"] == 2
        PubSubManager().publish("room:lobby", {"text": "hi"})
        pushed = json.loads(client.recv(timeout=10))["pub"]
        say("socket", pushed["d"])


if __name__ == "__main__":
    main()
