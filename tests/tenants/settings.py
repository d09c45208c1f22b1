"""A project of django-tenants: the job table is shared, the orders are each tenant's."""

from __future__ import annotations

import os

from pleme_redis_django.testing.servers import database_settings

SECRET_KEY = "only-for-tests"
USE_TZ = True
SHARED_APPS = [
    "django_tenants",
    "tests.tenants.customers",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "pleme_redis_django",
]
TENANT_APPS = ["tests.tenants.orders"]
INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
TENANT_MODEL, TENANT_DOMAIN_MODEL = "customers.Customer", "customers.Domain"
DATABASES = {
    "default": database_settings(os.environ["DATABASE_URL"]) | {"ENGINE": "django_tenants.postgresql_backend"}
}
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PLEME_REDIS = {
    "URL": None,
    "MIDDLEWARE": ["pleme_redis_django.middleware.TenantSchema"],
    "POOLS": {"default": {"worker_count": 2}},
}
