"""The weights of a run's kept checkpoints, read once: a run that is going on may remove them meanwhile."""

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from tf_fullbatch.errors import UserError
from tf_fullbatch.inspection.subject import Subject
from tf_fullbatch.records.checkpoint_files import verified_manifest
from tf_fullbatch.records.checkpoints import list_checkpoints, load_step
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.training.state import trainable_weights


def kept_steps(subject: Subject) -> list[int]:
    """The steps of the whole checkpoints up to the subject's own, in the order of training."""
    found = []
    for path in reversed(list_checkpoints(RunFolder(subject.run.path).checkpoints)):
        with contextlib.suppress(UserError):  # damaged, or removed by the run meanwhile
            found.append(int(verified_manifest(path)["step"]))
    return [step for step in found if step <= subject.run.step]


class KeptWeights(Sequence):
    """Trees, one per checkpoint in the order of training, copied to files of their own that are mapped into memory.

    Use it as a context manager.

    Args:
        subject: Whose run it is.
        steps: Of the checkpoints.

    Attributes:
        steps: Of the trees.

    Raises:
        UserError: One is gone by now.
    """

    def __init__(self, subject: Subject, steps: Sequence[int]):
        self.steps = list(steps)
        self._folder = tempfile.TemporaryDirectory(prefix="tf_fullbatch-path-")
        self._leaves = len(subject.theta)
        for number, step in enumerate(steps):
            checkpoint = load_step(RunFolder(subject.run.path).checkpoints, step)
            for i, leaf in enumerate(trainable_weights(subject.run.network, checkpoint.arrays)):
                np.save(self._file(number, i), leaf)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> list[np.ndarray]:  # type: ignore[override]  # no slices
        if not 0 <= index < len(self):
            raise IndexError(index)
        return [np.load(self._file(index, i), mmap_mode="r") for i in range(self._leaves)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def _file(self, index: int, leaf: int) -> Path:
        return Path(self._folder.name) / f"{index}-{leaf}.npy"
