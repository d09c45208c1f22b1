"""The Python functions that an action calls: what a hot path costs, whatever the machine does beside it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any


def codes_called(action: Callable[[], object]) -> list[CodeType]:
    """Return the code of every Python function that ``action`` calls in this thread."""
    codes: list[CodeType] = []

    def note(frame: FrameType, event: str, _arg: Any) -> None:
        if event == "call":
            codes.append(frame.f_code)

    gc.disable()  # A collection calls finalizers of objects that have nothing to do with the action.
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
        gc.enable()
    return codes
