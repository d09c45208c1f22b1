"""The shop with Celery."""

from from_celery.celery import app as celery_app

__all__ = ["celery_app"]
