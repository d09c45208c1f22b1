"""The shop's mail once more, as a plain task of django.tasks: the setting TASKS says who runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django

from example_project.shop.email_executor import order_confirmation, send

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django.tasks import TaskContext, task
else:
    from django_tasks import TaskContext, task


@task(takes_context=True, queue_name="mail")
def send_order_confirmation(context: TaskContext, order: str) -> dict[str, Any]:
    """Send the confirmation of an order to a customer who asks for it again."""
    return send(order_confirmation(order), context.task_result.id)
