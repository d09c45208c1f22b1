"""What the shop keeps: catalog items, orders and their lines, thumbnails, e-mails to send."""

from __future__ import annotations

from django.db import models

from pleme_redis_django.models import AbstractJob


class CatalogItem(models.Model):
    """A print of one airport."""

    code = models.CharField(max_length=8, unique=True, help_text="ICAO code, or the local one.")
    name = models.CharField(max_length=120)
    city = models.CharField(max_length=80, blank=True)
    country = models.CharField(max_length=2)
    elevation_feet = models.IntegerField()
    latitude = models.FloatField()
    longitude = models.FloatField()
    timezone = models.CharField(max_length=64, blank=True)
    price_cents = models.PositiveIntegerField()
    search_text = models.TextField(blank=True, help_text="Written by the job index_item.")
    stock = models.PositiveIntegerField(default=100, help_text="Prints on the shelf.")
    last_fence = models.BigIntegerField(default=0, help_text="Fence of the lock of who took prints last.")

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"

    @property
    def price(self) -> str:
        return f"{self.price_cents // 100}.{self.price_cents % 100:02}"


class Thumbnail(models.Model):
    """The picture of an item, drawn by the job draw_thumbnail."""

    item = models.OneToOneField(CatalogItem, on_delete=models.CASCADE)
    image = models.FileField(upload_to="thumbnails")
    drawn_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"thumbnail of {self.item_id}"


class Order(models.Model):
    number = models.CharField(max_length=20, unique=True)
    customer_name = models.CharField(max_length=80)
    email = models.EmailField()
    placed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return self.number


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    item = models.ForeignKey(CatalogItem, on_delete=models.PROTECT)
    quantity = models.PositiveIntegerField()
    unit_price_cents = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.quantity} x {self.item_id}"

    @property
    def total_cents(self) -> int:
        return self.quantity * self.unit_price_cents


class Accident(models.Model):
    """Remembers that something went wrong once, so that it does not go wrong for ever."""

    name = models.CharField(max_length=60, unique=True)
    happened_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class EmailJob(AbstractJob):
    """Step 1 of a job queue of one's own: the job. Its table holds e-mails and nothing else."""

    class Type(models.TextChoices):
        SEND_WELCOME_EMAIL = "SendWelcomeEmail"
        SEND_ORDER_CONFIRMATION = "SendOrderConfirmation"

    class Meta(AbstractJob.Meta):
        verbose_name = "e-mail job"
