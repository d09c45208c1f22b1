"""E-mails: sent over real SMTP, refused for now, refused for good, sent twice."""

from __future__ import annotations

import email
import socket
from pathlib import Path

import pytest

from example_project.demo.mail_server import MailServer, is_greylisted
from example_project.shop.email_executor import EmailExecutor
from example_project.shop.models import CatalogItem, EmailJob
from example_project.shop.orders import place_order
from example_project.shop.tasks import send_order_confirmation
from pleme_redis_django import InvalidParameters, Job, ProviderError
from pleme_redis_django.testing import drain_jobs
from pleme_redis_django.testing.servers.managed_server import free_port
from tests.example_project.conftest import send_mail_to

GREYLISTED = next(f"c{n}@customers.example" for n in range(99) if is_greylisted(f"c{n}@customers.example"))
WELCOME = next(f"c{n}@customers.example" for n in range(99) if not is_greylisted(f"c{n}@customers.example"))


def confirmation(catalog: list[CatalogItem], to: str) -> EmailJob:
    place_order("N1", [catalog[0].code], "Ada Wright", to)
    return EmailJob.objects.get()


def test_confirmation_reaches_the_mail_server(mail_server: MailServer, catalog: list[CatalogItem]) -> None:
    job = confirmation(catalog, WELCOME)
    result = EmailExecutor().execute(job)
    assert result == {"recipient": WELCOME, "message_id": f"<{job.id}@novaskyn.example>"}
    assert mail_server.counts().delivered == {result["message_id"]}
    [file] = Path(mail_server._folder).iterdir()
    message = email.message_from_bytes(file.read_bytes())
    assert (message["To"], message["Subject"]) == (WELCOME, "Your order N1")
    assert catalog[0].name in message.get_payload(decode=True).decode()


def test_plain_task_sends_the_same_mail(mail_server: MailServer, catalog: list[CatalogItem]) -> None:
    confirmation(catalog, WELCOME)
    result = send_order_confirmation.enqueue("N1")
    assert len(drain_jobs().completed) == 1
    result.refresh()
    assert result.return_value == {"recipient": WELCOME, "message_id": f"<{result.id}@novaskyn.example>"}
    assert mail_server.counts().delivered == {f"<{result.id}@novaskyn.example>"}


def test_plain_task_that_is_refused_for_now_is_retried(
    mail_server: MailServer, catalog: list[CatalogItem]
) -> None:
    confirmation(catalog, GREYLISTED)
    result = send_order_confirmation.using(max_retries=1).enqueue("N1")
    drain_jobs(with_retries=True)
    result.refresh()
    assert result.return_value["recipient"] == GREYLISTED
    assert (result.attempts, result.errors[0].exception_class) == (2, ProviderError)


def test_customer_who_asks_again_gets_a_task(catalog: list[CatalogItem]) -> None:
    from example_project.shop.jobs import take_orders

    assert take_orders(12, seed=1) == {"orders": 12, "confirmed_again": 2}
    path = "example_project.shop.tasks.send_order_confirmation"
    queued = Job.objects.filter(job_type=path).values_list("job_type", "queue_name", "parameters")
    assert list(queued) == [(path, "mail", {"order": number}) for number in ("N001-00000", "N001-00010")]


def test_greylisted_recipient_is_worth_a_retry(mail_server: MailServer, catalog: list[CatalogItem]) -> None:
    job = confirmation(catalog, GREYLISTED)
    with pytest.raises(ProviderError, match="451") as refused:
        EmailExecutor().execute(job)
    assert refused.value.error_code == "smtp_try_again" and refused.value.retryable
    assert EmailExecutor().execute(job)["recipient"] == GREYLISTED
    assert (len(mail_server.counts().delivered), mail_server.counts().greylisted) == (1, 1)


def test_mail_that_is_sent_again_is_recognised(mail_server: MailServer, catalog: list[CatalogItem]) -> None:
    job = confirmation(catalog, WELCOME)
    EmailExecutor().execute(job)
    EmailExecutor().execute(job)
    assert (len(mail_server.counts().delivered), mail_server.counts().duplicates) == (1, 1)


def test_server_greets_by_a_name_of_its_own(mail_server: MailServer) -> None:
    """Without one it asks the resolver at each connection, which takes seconds where the host's name is unknown."""
    host, port = mail_server.address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        greeting = client.makefile("rb").readline()
    assert greeting.startswith(b"220 mail.novaskyn.example ")


def test_unreachable_mail_server_is_worth_a_retry(
    settings: pytest.FixtureRequest, catalog: list[CatalogItem]
) -> None:
    send_mail_to(settings, "127.0.0.1", free_port())
    with pytest.raises(ProviderError) as refused:
        EmailExecutor().execute(confirmation(catalog, WELCOME))
    assert refused.value.error_code == "smtp_unreachable"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("job_type", "parameters", "message"),
    [
        ("SendFax", {}, "Known: SendOrderConfirmation, SendWelcomeEmail"),
        (EmailJob.Type.SEND_ORDER_CONFIRMATION, {"order": "N404"}, "There is no order 'N404'"),
    ],
)
def test_job_that_can_never_work_is_not_retried(
    job_type: str, parameters: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidParameters, match=message):
        EmailExecutor().execute(EmailJob(job_type=job_type, parameters=parameters))


def test_welcome_mail(mail_server: MailServer) -> None:
    parameters = {"name": "Ada", "to": WELCOME}
    job = EmailJob(job_type=EmailJob.Type.SEND_WELCOME_EMAIL, parameters=parameters)
    assert EmailExecutor().execute(job)["recipient"] == WELCOME
