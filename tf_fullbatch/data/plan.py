"""How an epoch is cut: update batches, micro-batches, replicas, rounds.

Micro-batch `m` of a step is computed by replica `m % replicas`; in round `i` each replica has its i-th one. Which calls
carry which rounds is a matter of speed alone.
"""

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from tf_fullbatch.errors import UserError

MOST = 2**30
"""Upper bound of every size: devices count in int32, and sums of two sizes must fit."""


def pieces(total: Any, size: Any) -> Any:
    """ceil(total / size): pieces of at most `size` that `total` is cut into; of integers, in a graph or out of one."""
    return (total + size - 1) // size


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchPlan:
    """How an epoch of `samples` is cut into update batches, micro-batches and rounds of replicas.

    Attributes:
        samples: N, samples per epoch.
        update_batch_size: Samples per step; the last step of an epoch may have fewer.
        micro_batch_size: Samples per micro-batch; the last of a step may have fewer.
        replicas: Replicas in sync, over all workers.
    """

    samples: int
    update_batch_size: int
    micro_batch_size: int
    replicas: int = 1

    def __post_init__(self) -> None:
        for name in ("samples", "update_batch_size", "micro_batch_size", "replicas"):
            if not isinstance(getattr(self, name), Integral):
                raise UserError(f"{name}={getattr(self, name)!r}: give a whole number.")
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but it is {getattr(self, name)}.")
            if getattr(self, name) > MOST:
                raise ValueError(f"{name} must be at most {MOST} (2^30), but it is {getattr(self, name)}.")
        if self.update_batch_size > self.samples:
            raise ValueError(
                f"An update batch of {self.update_batch_size} samples does not fit a data set of "
                f"{self.samples}."
            )

    @property
    def steps_per_epoch(self) -> int:
        """Updates per epoch; the last one may be smaller."""
        return pieces(self.samples, self.update_batch_size)

    @property
    def one_micro_batch(self) -> bool:
        """Whether every step is one micro-batch on one replica."""
        return self.replicas == 1 and self.update_batch_size <= self.micro_batch_size

    @property
    def equal_micro_batches(self) -> int | None:
        """Samples of every micro-batch of an epoch, where all have as many; None where they differ."""
        size = min(self.micro_batch_size, self.update_batch_size)
        return size if self.samples % size == 0 and self.update_batch_size % size == 0 else None

    def step_samples(self, step: int) -> int:
        """Samples in step `step` of an epoch, 0 <= step < steps_per_epoch."""
        return min(self.update_batch_size, self.samples - step * self.update_batch_size)

    def micro_batches(self, step: int) -> int:
        """K, micro-batches in step `step` of an epoch."""
        return pieces(self.step_samples(step), self.micro_batch_size)

    def rounds(self, step: int) -> int:
        """Rounds in step `step` of an epoch: micro-batches of the replica that has most."""
        return pieces(self.micro_batches(step), self.replicas)

    def micro_batch(self, step: int, index: int) -> np.ndarray:
        """Positions within the epoch of micro-batch `index` of step `step`, int64 `[rows]`; none beyond the last."""
        begin = step * self.update_batch_size
        end = begin + self.step_samples(step)
        start = begin + index * self.micro_batch_size
        return np.arange(start, max(start, min(start + self.micro_batch_size, end)), dtype=np.int64)

    def rows(self, step: int, replica: int, begin: int, end: int) -> np.ndarray:
        """Positions within the epoch of a replica's samples in rounds begin <= i < end of a step, int64 `[rows]`."""
        indices = range(replica + begin * self.replicas, replica + end * self.replicas, self.replicas)
        return np.concatenate([self.micro_batch(step, index) for index in indices])
