"""Chat rooms and order pages. What is said is stored first, and told when it is committed."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from example_project.shop.models import Order
from example_project.support.jobs import prepare_order
from example_project.support.models import ChatMessage, Room
from pleme_redis_django import PubSubManager

SHOWN_MESSAGES = 50
SHOWN_ORDERS = 8


@require_safe
@login_required
def lobby(_request: HttpRequest) -> HttpResponse:
    return redirect("support:room", Room.ORDERS)


@require_safe
@login_required
def room(request: HttpRequest, name: str) -> HttpResponse:
    if name not in Room.values:
        return redirect("support:room", Room.ORDERS)
    context = {
        "room": Room(name),
        "rooms": list(Room),
        "messages_of_room": _messages(name),
        "orders": Order.objects.order_by("-placed_at", "-pk")[:SHOWN_ORDERS],
    }
    return render(request, "support/room.html", context)


@require_safe
@login_required
def messages(_request: HttpRequest, name: str) -> JsonResponse:
    """The newest messages again, for a page that missed some."""
    return JsonResponse({"messages": _messages(name)})


@require_POST
@login_required
def say(request: HttpRequest, name: str) -> HttpResponse:
    text = request.POST.get("text", "").strip()
    if name not in Room.values or not 0 < len(text) <= 2000:
        return HttpResponseBadRequest("A message is 1 to 2000 characters long.")
    with transaction.atomic():
        message = ChatMessage.objects.create(room=name, author=_author(request), text=text)
        PubSubManager().publish(Room(name).channel, message.as_event(), user_id=request.user.pk)
    return JsonResponse(message.as_event(), status=201)


@require_safe
@login_required
def order(request: HttpRequest, number: str) -> HttpResponse:
    found = get_object_or_404(Order.objects.prefetch_related("lines__item"), number=number)
    return render(request, "support/order.html", {"order": found, "rooms": list(Room)})


@require_POST
@login_required
def prepare(_request: HttpRequest, number: str) -> JsonResponse:
    found = get_object_or_404(Order, number=number)
    job = prepare_order.enqueue(order=found.number)
    return JsonResponse({"job": str(job.id)}, status=202)


def _author(request: HttpRequest) -> User:
    assert isinstance(request.user, User), "login_required let an anonymous user in"
    return request.user


def _messages(name: str) -> list[dict[str, object]]:
    newest = ChatMessage.objects.filter(room=name).select_related("author").order_by("-pk")[:SHOWN_MESSAGES]
    return [message.as_event() for message in reversed(newest)]
