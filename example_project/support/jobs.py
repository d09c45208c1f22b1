"""What support asks of the workers."""

from __future__ import annotations

import time

from example_project.shop.models import Order
from pleme_redis_django import JobContext, PubSubManager, job

STEPS = ["checking stock", "printing", "drying", "cutting", "rolling", "packing", "weighing", "labelling"]
STEP_SECONDS = 0.6


@job(queue_name="support", unique="while_running")
def prepare_order(ctx: JobContext, order: str) -> dict[str, str]:
    """Prepare an order for the parcel service; its page shows each step."""
    number = Order.objects.get(number=order).number
    for done, step in enumerate(STEPS):
        ctx.progress(done, len(STEPS), step)
        time.sleep(STEP_SECONDS)
    ctx.progress(len(STEPS), len(STEPS), "ready")
    PubSubManager().publish(f"order:{number}:prepared", {"number": number, "state": "ready to ship"})
    return {"order": number}
