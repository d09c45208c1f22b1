"""Tenants, each with a schema of its own."""

from __future__ import annotations

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Customer(TenantMixin):
    name = models.CharField(max_length=50)


class Domain(DomainMixin):
    pass
