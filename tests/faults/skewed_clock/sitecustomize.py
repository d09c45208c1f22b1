"""Makes the clock of a Python process wrong by CLOCK_SKEW_SECONDS: put this folder on its PYTHONPATH.

Python imports a module of this name by itself, before anything that could keep the right clock.
Monotonic clocks stay as they are, as they do when an administrator sets a machine's time.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

_SKEW_SECONDS = float(os.environ["CLOCK_SKEW_SECONDS"])
_RightDatetime = datetime.datetime
_right_time = time.time


class _InstancesOfRight(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RightDatetime)


class _WrongDatetime(_RightDatetime, metaclass=_InstancesOfRight):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return _RightDatetime.now(tz) + datetime.timedelta(seconds=_SKEW_SECONDS)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(datetime.UTC).replace(tzinfo=None)


time.time = lambda: _right_time() + _SKEW_SECONDS
datetime.datetime = _WrongDatetime
