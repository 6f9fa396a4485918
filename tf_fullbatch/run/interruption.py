"""Signals that ask to stop; those of a run are heard while TensorFlow is at work.

Python runs its signal handlers between two bytecodes of the main thread, so not within a call that takes
seconds. Here a thread reads what Python's C-level handler writes the moment a signal arrives.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Self

from tf_fullbatch.errors import Outcome, RunInterruptedError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_END = b"\0"


@contextlib.contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Within, SIGINT and SIGTERM call this handler; then those that were there before do again."""
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class _Interrupted(KeyboardInterrupt):
    """What a signal raises where it arrives: within the user's functions, whose errors are taken for their own, too."""


class StopRequests:
    """Listens for SIGINT and SIGTERM; a context manager. In another thread than the main one it hears nothing.

    The first signal sets `requested`, and training stops after the call under way. A second one ends the process
    at once: whatever is being written is written aside and never read. Before `working`, the first one ends what is
    under way, and `RunInterruptedError` leaves the context: there is nothing to save yet.

    Attributes:
        requested: The name of the first signal, such as "SIGTERM"; None before it.
    """

    def __init__(self) -> None:
        self._announce: Callable[[str], None] | None = None
        self._hears = threading.current_thread() is threading.main_thread()
        self.requested: str | None = None

    def working(self, announce: Callable[[str], None]) -> None:
        """From now on the first signal sets `requested` alone.

        Args:
            announce: Shows a line to the user; called from another thread.
        """
        self._announce = announce
        if not self._hears:
            return
        # Again: a cluster of TensorFlow's has taken SIGTERM for itself when it started.
        for number in SIGNALS:
            signal.signal(number, self._handle)

    def __enter__(self) -> Self:
        if not self._hears:
            return self
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._handling = contextlib.ExitStack()
        self._handling.enter_context(handled_by(self._handle))
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, name="stop requests", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._hears:
            return
        self._stop_listening()
        if isinstance(error, _Interrupted):
            raise RunInterruptedError(
                str(error), "no step was under way. The same command starts again"
            ) from error

    def _stop_listening(self) -> None:
        signal.set_wakeup_fd(self._wakeup)
        self._handling.close()
        self._writer.send(_END)
        self._thread.join()
        self._reader.close()
        self._writer.close()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Runs in the main thread, once it runs Python again."""
        if self._announce is None:
            # TensorFlow may be in the midst of starting; what it says of its half-built objects is of no use.
            sys.unraisablehook = lambda unraisable: None
            raise _Interrupted(signal.Signals(number).name)

    def _listen(self) -> None:
        while (byte := self._reader.recv(1)) not in (b"", _END):
            number = byte[0]
            if number not in SIGNALS:
                continue
            if self.requested is not None and self._announce is not None:
                print("stopped at once; the last checkpoint is kept.", file=sys.stderr, flush=True)
                os._exit(Outcome.INTERRUPTED.exit_code)
            self.requested = signal.Signals(number).name
            if self._announce is not None:
                self._announce(
                    f"{self.requested}: stopping after the call under way; once more stops at once"
                )
