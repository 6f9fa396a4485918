"""What a pass over an update batch is made of: kernels, feeds and sources, and what it gives."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from tf_fullbatch.core.micro_batch import MicroBatch, StepScalars
from tf_fullbatch.core.training_loss import MeanLoss
from tf_fullbatch.core.trees import Tree


class Scored(NamedTuple):
    """What metrics are taken of.

    Attributes:
        targets: The micro-batch's targets.
        outputs: The network's outputs.
        weights: Sample weights, or None.
        loss: The micro-batch's loss.
    """

    targets: Any
    outputs: Any
    weights: Any
    loss: MeanLoss


class Metrics(Protocol):
    """Figures that are taken of each micro-batch, on each replica by itself."""

    def update(self, scored: Scored) -> None:
        """Takes a micro-batch in."""


class Contribution(NamedTuple):
    """What one micro-batch adds to a pass.

    Attributes:
        weighted: A structure of tensors, averaged over the set with `weight`.
        sampled: A structure of tensors, averaged over the set with `samples`.
        each: A structure of scalars, kept for each micro-batch.
        weight: Scalar, what the micro-batch's loss counts for (see `training_loss.MeanLoss`).
        samples: Scalar, its samples.
        scored: What metrics are taken of; None where the kernel has nothing to offer.
    """

    weighted: Any
    sampled: Any
    each: Any
    weight: tf.Tensor
    samples: tf.Tensor
    scored: Scored | None = None


class Kernel(Protocol):
    """What is computed of one micro-batch, as a pure function."""

    def like(self) -> tuple[Any, Any, Any]:
        """Tensors or specs of the shapes of a contribution's `weighted`, `sampled` and `each`."""

    def __call__(
        self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars, *extra: Any
    ) -> Contribution:
        """The contribution of one micro-batch.

        Args:
            theta: Tree, values of the trainable variables.
            state: Values of the non-trainable variables at the beginning of the step.
            batch: The samples, raw.
            scalars: The step.
            *extra: What the pass was asked with, such as a direction.
        """


class Place(NamedTuple):
    """Which micro-batches of an epoch a call goes over.

    Attributes:
        step: int32, the step within the epoch.
        begin: int32, first round; in round i each of R replicas has one micro-batch, number `i R + replica`.
        end: int32, the round after the last.
    """

    step: tf.Tensor
    begin: tf.Tensor
    end: tf.Tensor


Fetch = Callable[[tf.Tensor], MicroBatch]


class Feed(Protocol):
    """Where micro-batches come from, on a replica. Its methods are traced; what varies with the data is in `held`."""

    def micro_batches(
        self, held: Any, place: Place, epoch: tf.Tensor
    ) -> tuple[Fetch, tf.Tensor | int, tf.Tensor]:
        """(fetch, begin, end): the replica's micro-batches are `fetch(i)` for begin <= i < end; replica context."""


class Source(Protocol):
    """Update batches to pass over."""

    @property
    def feed(self) -> Any:
        """The `Feed` that takes what `calls` gives."""

    def calls(self, epoch: int, step: int) -> Iterator[tuple[Any, Place]]:
        """What one pass over a step of an epoch is cut into: (what the feed holds, place) of each call."""


class PassMeans(NamedTuple):
    """The outcome of a pass.

    Attributes:
        weighted: The means of the contributions' `weighted`.
        sampled: The means of the contributions' `sampled`.
        each: Of the contributions' `each`: `[micro-batches, leaves]`, empty where the kernel keeps none.
        samples: Scalar, how many samples were seen.
        stop_votes: Scalar, how many workers were asked to stop; where it is not 0 the rest means nothing.
    """

    weighted: Any
    sampled: Any
    each: tf.Tensor
    samples: tf.Tensor
    stop_votes: tf.Tensor
