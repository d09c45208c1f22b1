"""An empty page, for browsers to have an origin."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("pleme-page/", lambda _request: HttpResponse("<!doctype html><title>pleme</title>"))]
