"""Working ahead: an iterator that runs on a thread of its own, a bounded way before its reader."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

# How long either side sleeps at most before it looks whether the other is still there.
POLL_SECONDS = 0.1


def ahead(start: Callable[[], Iterable[Item]], depth: int = 1) -> Iterator[Item]:
    """Iterate on another thread, keeping ``depth`` items ready.

    Args:
        start: makes the iterable; called on the thread, so that handles opened there stay there.
        depth: items that may wait; one more is being made meanwhile.

    Yields:
        The items in order; what the iterable raises is raised here in its place. Closing the
        generator stops the thread.
    """
    ready: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(entry: tuple[bool, Item | BaseException | None]) -> bool:
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in start():
                if not put((True, item)):
                    return
            put((False, None))
        except BaseException as error:
            put((False, error))

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            going, item = ready.get()
            if not going:
                if isinstance(item, BaseException):
                    raise item
                return
            yield item  # type: ignore[misc]
            del item
    finally:
        stopped.set()
        thread.join()
