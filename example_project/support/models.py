"""What was said: rows, since Redis may forget. The sockets carry news of them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models


class Room(models.TextChoices):
    ORDERS = "orders", "Orders"
    SHIPPING = "shipping", "Shipping"
    PRINTS = "prints", "Prints"

    @property
    def channel(self) -> str:
        """The channel of the room's messages, presence and typing."""
        return f"room:{self.value}"


class ChatMessage(models.Model):
    room = models.CharField(max_length=20, choices=Room.choices)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    text = models.TextField(max_length=2000)
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["room", "-id"], name="support_room")]

    def __str__(self) -> str:
        return f"{self.author_id} in {self.room}"

    def as_event(self) -> dict[str, Any]:
        """What browsers get, over the socket and in a page."""
        return {
            "id": self.pk,
            "author": self.author.get_username(),
            "text": self.text,
            "sent_at": self.sent_at.isoformat(),
        }
