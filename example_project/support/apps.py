from __future__ import annotations

from django.apps import AppConfig


class SupportConfig(AppConfig):
    name = "example_project.support"
    label = "support"
