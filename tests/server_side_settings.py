"""Settings of worker processes whose statements and values travel apart, each planned at its second run.

It is what Django documents as ``server_side_binding``. PostgreSQL then soon plans a statement without its values.
"""

from __future__ import annotations

from tests.worker_settings import *  # noqa: F403 - the same settings
from tests.worker_settings import DATABASES

DATABASES["default"]["OPTIONS"] = {
    **DATABASES["default"].get("OPTIONS", {}),
    "server_side_binding": True,
    "prepare_threshold": 1,
}
