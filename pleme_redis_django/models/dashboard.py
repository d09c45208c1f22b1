"""Dashboard: the entry of the admin for pages that have no table."""

from __future__ import annotations

from django.db import models


class Dashboard(models.Model):
    """No table: the entry of the admin behind which the dashboard's pages are, and the permission of one."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [("release_lock", "Can take a lock away from its holder")]
        verbose_name = "dashboard"
        verbose_name_plural = "dashboard"

    def __str__(self) -> str:
        return "dashboard"
