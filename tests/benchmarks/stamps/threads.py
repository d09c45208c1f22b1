"""What each thread of a worker process has taken of the processor, written to a file again and again."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import Counter
from pathlib import Path

FOLDER_VARIABLE = "THREAD_TIMES_FOLDER"
EVERY_SECONDS = 0.2


def begin() -> None:
    """Have this process write the processor times of its threads."""
    if FOLDER_VARIABLE in os.environ:
        folder = Path(os.environ[FOLDER_VARIABLE])
        threading.Thread(target=_write_for_ever, args=(folder,), name="thread-times", daemon=True).start()


def read(folder: Path) -> Counter[str]:
    """Return the seconds of all processes by the names of threads; those of job threads together."""
    times: Counter[str] = Counter()
    for file in folder.glob("*.json"):
        times.update(json.loads(file.read_text()))
    return times


def _write_for_ever(folder: Path) -> None:
    file, unready = folder / f"{os.getpid()}.json", folder / f"{os.getpid()}.unready"
    while True:
        times: Counter[str] = Counter()
        for thread in threading.enumerate():
            if thread.ident is not None:
                clock = time.pthread_getcpuclockid(thread.ident)
                times[re.sub(r"-\d+$", "s", thread.name)] += time.clock_gettime(clock)
        unready.write_text(json.dumps(times))
        unready.replace(file)
        time.sleep(EVERY_SECONDS)
