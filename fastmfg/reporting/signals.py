"""Signals that end a run: what was finished is kept, and the exit code says which signal it was."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGUSR1")
"""Ctrl-C, an order to end, and the warning that batch systems can give before time is up."""

AGAIN = 0.05
"""Seconds after which a signal is raised anew that came where Python can not raise, as in a destructor."""


class Stopped(KeyboardInterrupt):
    """A signal has ended the run."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.name = signal.Signals(number).name
        self.exit_code = 128 + number  # as shells say it


class _Stopper:
    """The handler of all signals; the first one counts."""

    def __init__(self) -> None:
        self.received: int | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = number
            raise Stopped(number)
        if number == signal.SIGINT:
            os._exit(128 + number)

    def check(self) -> None:
        """Raise when a signal has come, whoever has caught what was raised then."""
        if self.received is not None:
            raise Stopped(self.received)

    def unraisable(self, before: Callable[[Any], Any], lost: Any) -> None:
        """Python's hook for exceptions that nobody can catch."""
        if not isinstance(lost.exc_value, Stopped):
            before(lost)
            return
        if hasattr(signal, "pthread_kill"):  # elsewhere `check` has to do
            self.received = None
            main = threading.main_thread().ident
            again = threading.Timer(AGAIN, signal.pthread_kill, (main, lost.exc_value.number))
            again.daemon = True
            again.start()


@contextmanager
def stopping() -> Iterator[Callable[[], None]]:
    """Within the context the first signal raises `Stopped` in the main thread, as soon as a kernel returns.

    A Ctrl-C after that ends the process at once; other signals are then ignored. The function that is given raises
    `Stopped` again, for loops to call in case a library has caught it. Signals that the parent process wants ignored
    are.
    """
    stopper = _Stopper()
    handlers = {}
    hook = sys.unraisablehook
    if threading.current_thread() is threading.main_thread():  # others may not set handlers
        for name in NAMES:
            number = getattr(signal, name, None)  # Windows has no SIGUSR1
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                handlers[number] = signal.signal(number, stopper.handle)
        sys.unraisablehook = lambda lost: stopper.unraisable(hook, lost)
    try:
        yield stopper.check
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook
