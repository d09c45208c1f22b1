"""FlowLimit, FlowGate and FullGate: how many jobs may run or start, the tokens of each rate, and what is full."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class LimitKind(models.TextChoices):
    """What the name of a limit is the name of."""

    KEY = "key", "key"
    TYPE = "type", "job type"
    QUEUE = "queue", "queue"
    PRODUCT = "product", "product"

    # An Enum hashes its name in Python, and a claim looks up a gate for nearly every job.
    __hash__ = str.__hash__


class LimitSource(models.TextChoices):
    """Who made the row."""

    CODE = "code", "code"
    SETTINGS = "settings", "settings"
    ADMIN = "admin", "admin"


class FlowLimit(models.Model):
    """A limit of one job model: how many of its jobs run at once, how many start in a time, or both.

    The row is made when the first job meets the limit. Claims join it by its id, so that another number
    counts at the next one.
    """

    job_model = models.CharField(max_length=200, help_text="app_label.ModelName in lower case.")
    kind = models.CharField(max_length=10, choices=LimitKind.choices)
    product = models.CharField(
        max_length=50, blank=True, default="", help_text="Empty: every product, each for itself."
    )
    name = models.CharField(
        max_length=200,
        help_text="Of the key (what stands before its colon), the job type, the queue or the product.",
    )
    is_shared = models.BooleanField(default=False, help_text="All products together have the one limit.")
    max_running = models.PositiveIntegerField(
        null=True, blank=True, help_text="Empty: without limit. 0: a pause."
    )
    rate = models.PositiveIntegerField(
        null=True, blank=True, help_text="Starts in each period. Empty: without limit."
    )
    per_seconds = models.FloatField(default=1.0, help_text="The period of the rate.")
    burst = models.PositiveIntegerField(default=2, help_text="Starts at once after a quiet time.")
    source = models.CharField(max_length=10, choices=LimitSource.choices, editable=False)
    declared = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text="The numbers of the code, while an operator's are in force.",
    )
    edited_at = models.DateTimeField(null=True, blank=True, editable=False)
    edited_by = models.CharField(
        max_length=150, blank=True, default="", editable=False, help_text="A user's name."
    )
    edit_reason = models.TextField(blank=True, default="", editable=False)
    last_used_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "limit"
        verbose_name_plural = "limits"
        constraints = [
            models.UniqueConstraint(
                fields=["job_model", "kind", "product", "name"], name="pleme_flow_limit_once"
            ),
            models.CheckConstraint(
                condition=Q(per_seconds__gt=0) & Q(burst__gte=1), name="pleme_flow_limit_period"
            ),
        ]

    def __str__(self) -> str:
        of_all = "all products together" if self.is_shared else "every product"
        return f"{self.kind} {self.name} of {self.product or of_all}"

    @property
    def own_product(self) -> str:
        """The one product that it limits; "": it holds for every product. A limit of a product names it."""
        return self.name if self.kind == LimitKind.PRODUCT else self.product


class FlowGate(models.Model):
    """The tokens of one rate: those of a key, a job type, a queue or a product.

    ``full_again_at`` is the one time stamp of the generic cell rate algorithm (GCRA).
    """

    limit = models.ForeignKey(FlowLimit, on_delete=models.CASCADE, related_name="gates")
    gate = models.CharField(max_length=300)
    full_again_at = models.DateTimeField(
        db_default=Now(), help_text="When every token is back, were none taken."
    )
    granted = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How many the last statement was given."
    )
    spacing_seconds = models.FloatField(
        null=True, blank=True, help_text="Between two tokens, when the last one was taken."
    )
    let_through = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Tokens for which waiting jobs were made ready, not taken yet."
    )
    let_at = models.DateTimeField(
        null=True, blank=True, help_text="When jobs that waited here were last made ready."
    )
    release_at = models.DateTimeField(
        null=True, blank=True, help_text="When to look at the jobs that wait here; NULL: none do."
    )

    class Meta:
        verbose_name = "gate"
        verbose_name_plural = "gates"
        constraints = [models.UniqueConstraint(fields=["gate", "limit"], name="pleme_flow_gate_once")]
        indexes = [
            models.Index(
                fields=["release_at"], condition=Q(release_at__isnull=False), name="pleme_flow_gate_release"
            )
        ]

    def __str__(self) -> str:
        return self.gate


class FullGate(models.Model):
    """A gate at which jobs wait, and since when there have been some without a break.

    For people: no claim reads it. The sweep for overlooked jobs makes the row, and deletes it when nobody waits there.
    """

    job_model = models.CharField(max_length=200, help_text="app_label.ModelName in lower case.")
    gate = models.CharField(max_length=300)
    since = models.DateTimeField(db_default=Now(), help_text="When a sweep first found that jobs wait here.")
    seen_at = models.DateTimeField(db_default=Now(), help_text="When a sweep last found it.")

    class Meta:
        verbose_name = "full gate"
        verbose_name_plural = "full gates"
        constraints = [models.UniqueConstraint(fields=["job_model", "gate"], name="pleme_full_gate_once")]

    def __str__(self) -> str:
        return self.gate
