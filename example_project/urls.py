"""URLs of the example project: what the shop is doing, its catalog, live support, and the admin sites."""

from __future__ import annotations

from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.urls import include, path

from example_project.shop import views
from example_project.shop.admin import email_site

urlpatterns = [
    path("", views.overview, name="overview"),
    path("support/", include("example_project.support.urls")),
    path("catalog/", views.catalog, name="catalog"),
    path("catalog/<int:number>/", views.catalog, name="catalog-page"),
    path("admin/", admin.site.urls),
    path("email/admin/", email_site.urls),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
]
