"""Step 2 of a job queue of one's own: the executor, a class with ``execute``."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from typing import Any

from django.core.mail import EmailMessage

from example_project.shop.models import EmailJob, Order
from pleme_redis_django import ExecutionFailed, InvalidParameters, ProviderError


class EmailExecutor:
    """Sends the e-mail that a job describes, through Django's SMTP backend."""

    def execute(self, job: EmailJob) -> dict[str, Any]:
        """Send it and return what the monitoring shows.

        Raises InvalidParameters for a job that can never work, ProviderError when the mail server
        refuses for now, ExecutionFailed when it refuses for good.
        """
        compose = _COMPOSERS.get(job.job_type)
        if compose is None:
            raise InvalidParameters(
                f"No e-mail of the type {job.job_type!r}. Known: {', '.join(sorted(_COMPOSERS))}."
            )
        return send(compose(job), str(job.id))


def send(message: EmailMessage, key: str) -> dict[str, Any]:
    """Send an e-mail whose id has the key of its job; return recipient and id. Raises as ``execute`` does."""
    # Sent again after a crash, it has the same id, by which mail systems drop the duplicate.
    message.extra_headers["Message-ID"] = f"<{key}@novaskyn.example>"
    _hand_over(message)
    return {"recipient": message.to[0], "message_id": message.extra_headers["Message-ID"]}


def _hand_over(message: EmailMessage) -> None:
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        [(code, text), *_] = error.recipients.values()
        raise _refusal(code, text.decode(errors="replace")) from error
    except smtplib.SMTPResponseException as error:
        raise _refusal(error.smtp_code, str(error.smtp_error)) from error
    except OSError as error:
        raise ProviderError(
            f"The mail server could not be reached: {error}", error_code="smtp_unreachable"
        ) from error


def _refusal(code: int, text: str) -> ExecutionFailed | ProviderError:
    # RFC 5321, section 4.2.1: 4yz is transient, 5yz is permanent.
    if 400 <= code < 500:
        return ProviderError(f"The mail server said {code} {text}", error_code="smtp_try_again")
    return ExecutionFailed(f"The mail server said {code} {text}", error_code="smtp_refused")


def _welcome(job: EmailJob) -> EmailMessage:
    name, to = job.parameters["name"], job.parameters["to"]
    return EmailMessage("Welcome to novaskyn", f"Hello {name},\n\nthe sky is yours.\n", to=[to])


def order_confirmation(number: str) -> EmailMessage:
    """Return the confirmation of an order. Raises InvalidParameters where there is no such order."""
    order = Order.objects.prefetch_related("lines__item").filter(number=number).first()
    if order is None:
        raise InvalidParameters(f"There is no order {number!r}.")
    lines = list(order.lines.all())
    text = [f"Hello {order.customer_name},", "", f"thank you for your order {order.number}:", ""]
    text += [f"{line.quantity} x {line.item}  {line.total_cents / 100:10.2f}" for line in lines]
    text += ["", f"Total {sum(line.total_cents for line in lines) / 100:.2f} EUR"]
    return EmailMessage(f"Your order {order.number}", "\n".join(text), to=[order.email])


_COMPOSERS: dict[str, Callable[[EmailJob], EmailMessage]] = {
    EmailJob.Type.SEND_WELCOME_EMAIL: _welcome,
    EmailJob.Type.SEND_ORDER_CONFIRMATION: lambda job: order_confirmation(job.parameters["order"]),
}
