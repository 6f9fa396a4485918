"""Functions of TensorFlow or Keras that are others for a while."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any


class Replacement:
    """A function that is another one while at least one asks for it, from whatever thread.

    Args:
        owner: What holds it, a module or a class.
        name: Its name there.
        function: The other one, of the same arguments.

    Attributes:
        original: The function itself.
    """

    def __init__(self, owner: Any, name: str, function: Callable[..., Any]):
        self.original: Callable[..., Any] = getattr(owner, name)
        self._owner, self._name, self._function = owner, name, function
        self._lock = threading.Lock()
        self._entered = 0

    @contextlib.contextmanager
    def made(self) -> Iterator[None]:
        """Within it."""
        with self._lock:
            self._entered += 1
            setattr(self._owner, self._name, self._function)
        try:
            yield
        finally:
            with self._lock:
                self._entered -= 1
                if self._entered == 0:
                    setattr(self._owner, self._name, self.original)
