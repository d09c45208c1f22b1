"""The inbox of endings: nothing that is left there is lost, and its order stays."""

from __future__ import annotations

import threading

from pleme_redis_django.jobs.worker.ending_batches import MAX_ENDINGS
from pleme_redis_django.jobs.worker.ending_inbox import EndingInbox
from pleme_redis_django.jobs.worker.holdings import Entry, ending_if_unfinished
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import claimed, held


def entries(count: int) -> list[Entry]:
    store = MemoryJobStore()
    return [(one := held(claimed(store)), ending_if_unfinished(one)) for _ in range(count)]


def test_what_is_put_back_comes_before_what_came_since() -> None:
    inbox, (first, second, third) = EndingInbox(), entries(3)
    inbox.add(first)
    inbox.add(second)
    inbox.take()
    inbox.add(third)
    assert (inbox.in_hand, len(inbox)) == ([first, second], 3)
    inbox.put_back()
    inbox.take()
    assert (inbox.in_hand, len(inbox)) == ([first, second, third], 3)


def test_a_wait_ends_with_the_first_ending_or_an_interrupt() -> None:
    inbox, (first,) = EndingInbox(), entries(1)
    assert inbox.wait(0.0) is False
    threading.Thread(target=inbox.add, args=(first,)).start()
    assert inbox.wait(10) is True
    inbox.take()
    assert inbox.in_hand == [first]
    inbox.interrupt()
    assert inbox.wait(10) is True


def test_what_many_threads_leave_is_all_there() -> None:
    inbox, all_entries = EndingInbox(), entries(MAX_ENDINGS + 100)
    threads = [
        threading.Thread(target=lambda part=part: [inbox.add(entry) for entry in part])
        for part in (all_entries[::2], all_entries[1::2])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    inbox.take()
    assert len(inbox) == len(all_entries)
    assert {id(entry) for entry in inbox.in_hand} == {id(entry) for entry in all_entries}
