"""`python -m tf_fullbatch.analyze`: questions about trained runs, see `commands/analyze.py`."""

import sys
from types import ModuleType
from typing import Any

import tf_fullbatch
from tf_fullbatch.commands import console
from tf_fullbatch.commands.analyze import main


class _Callable(ModuleType):
    """Lets `tf_fullbatch.analyze(...)` be the function also where this file was imported, which takes its name."""

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        return tf_fullbatch.__getattr__("analyze")(*arguments, **settings)


sys.modules[__name__].__class__ = _Callable

if __name__ == "__main__":
    console.run_command(main)
