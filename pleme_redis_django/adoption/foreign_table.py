"""ForeignTable: a table of another package, as far as adoption reads it, whether or not that package is installed."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import models


class ForeignTable(models.Model):
    """Base of their models: in no registry of Django's, so no migration is made and nothing else finds them."""

    class Meta:
        abstract = True
        apps = Apps()
        app_label = "adoption"
        managed = False
