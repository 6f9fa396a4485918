"""The passes that a step's gradient is made of: one, or two where the second needs the gradient of the first."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.core import keras_internals
from tf_fullbatch.core.full_pass import FullPass
from tf_fullbatch.core.kernels import GradientMeans
from tf_fullbatch.core.micro_batch import StepScalars
from tf_fullbatch.core.passes import Feed, PassMeans, Place, Source
from tf_fullbatch.core.perturbations import Perturbation
from tf_fullbatch.core.trees import Tree

At = Callable[[], Tree | None]
"""Where a step's gradient is taken: a tree, or None for the weights; asked in graphs, too."""


class OnePass:
    """The gradient of one pass.

    Args:
        main: The pass whose loss, accuracy and statistics are the step's.
        at: Where it is taken.

    Attributes:
        passes: Those that it makes, in their order.
        cleared: `clear`, compiled.
        first_ended: `end_first`, compiled.
    """

    count = 1
    """How many passes there are."""

    def __init__(self, main: FullPass, at: At):
        self._main, self._at = main, at
        self.passes = [main]
        self.cleared = keras_internals.compiled(self.clear)
        self.first_ended = keras_internals.compiled(self.end_first)
        self._averaged = keras_internals.compiled(self.means)

    @property
    def whole_gradient(self) -> Tree | None:
        """The gradient of the update batch that the penalty on it is about; None without one."""
        return None

    def of_one(self, feed: Feed, held: Any, place: Place, scalars: StepScalars) -> PassMeans:
        """The means of a step of one pass that is one micro-batch on one replica; in a graph."""
        return self._main.of_one(feed, held, place, scalars, self._at(), None)

    def add(self, feed: Feed, held: Any, place: Place, scalars: StepScalars, phase: int) -> None:
        """Adds micro-batches to the sums of a pass; in a graph."""
        self.passes[phase].add(feed, held, place, scalars, *self._asked(phase))

    def added(self, feed: Feed, held: Any, place: Place, scalars: StepScalars, phase: int) -> None:
        """`add`, compiled, from Python."""
        self.passes[phase].added(feed, held, place, scalars, *self._asked(phase))

    def end_first(self, stop_votes: tf.Tensor) -> tf.Tensor:
        """Keeps what the second of two passes needs of the first; returns the sum of the votes to stop."""
        raise NotImplementedError

    def means(self, scalars: StepScalars, stop_votes: tf.Tensor | float) -> PassMeans:
        """The step's means, once all passes are over.

        Args:
            scalars: The step.
            stop_votes: See `FullPass.means`.
        """
        del scalars
        return self._main.means(stop_votes)

    def clear(self) -> None:
        """Forgets the sums."""
        for one in self.passes:
            one.clear()

    def run(self, source: Source, step: int, scalars: StepScalars) -> PassMeans:
        """All passes over one step's samples; from Python."""
        self.cleared()
        for phase in range(self.count):
            for held, place in source.calls(int(scalars.epoch), step):
                self.added(source.feed, held, place, scalars, phase)
            if phase + 1 < self.count:
                self.first_ended(tf.zeros([]))
        return self._averaged(scalars, tf.zeros([]))

    def _asked(self, phase: int) -> tuple[Tree | None, Tree | None]:
        """(where the pass is taken, the whole gradient that its kernel is told)."""
        del phase
        return self._at(), None


class AfterWholeGradient(OnePass):
    """A pass that is told the whole gradient, by a pass before it: for the penalty on that gradient's norm.

    Args:
        main: The pass with the penalty.
        at: Where both are taken.
        plain: The pass for the whole gradient, neither clipped nor noisy.
        trainable: The trainable variables.
        strategy: In whose scope the gradient is kept.
    """

    count = 2

    def __init__(
        self,
        main: FullPass,
        at: At,
        plain: FullPass,
        trainable: Sequence[keras.Variable],
        strategy: tf.distribute.Strategy,
    ):
        super().__init__(main, at)
        self._plain = plain
        self.passes = [plain, main]
        self._whole = _scratch([tf.TensorSpec(v.shape, v.dtype) for v in trainable], strategy)

    @property
    def whole_gradient(self) -> Tree | None:
        """See `OnePass`."""
        return _read(self._whole)

    def end_first(self, stop_votes: tf.Tensor) -> tf.Tensor:
        """See `OnePass`."""
        means = self._plain.means(stop_votes)
        _keep(self._whole, means.weighted.gradient)
        return means.stop_votes

    def means(self, scalars: StepScalars, stop_votes: tf.Tensor | float) -> PassMeans:
        """See `OnePass`."""
        means = super().means(scalars, stop_votes)
        return means._replace(weighted=means.weighted._replace(unpenalised=_read(self._whole)))

    def _asked(self, phase: int) -> tuple[Tree | None, Tree | None]:
        return self._at(), self.whole_gradient if phase == 1 else None


class AtPerturbedWeights(OnePass):
    """A pass at the weights, and a second one at weights perturbed along the gradient of the first.

    Loss, accuracy and statistics are those of the first.

    Args:
        main: The first pass.
        at: Where it is taken.
        second: The second pass.
        perturbation: How far, and what is made of both gradients.
        trainable: The trainable variables.
        strategy: In whose scope the means of the first pass are kept.
    """

    count = 2

    def __init__(
        self,
        main: FullPass,
        at: At,
        second: FullPass,
        perturbation: Perturbation,
        trainable: Sequence[keras.Variable],
        strategy: tf.distribute.Strategy,
    ):
        super().__init__(main, at)
        self._second, self._perturbation = second, perturbation
        self.passes = [main, second]
        self._trainable = list(trainable)
        self._like = main.like()
        self._first = _scratch(tf.nest.flatten(self._like), strategy)

    def end_first(self, stop_votes: tf.Tensor) -> tf.Tensor:
        """See `OnePass`."""
        means = self._main.means(stop_votes)._replace(each=())
        _keep(self._first, tf.nest.flatten(means))
        return means.stop_votes

    def means(self, scalars: StepScalars, stop_votes: tf.Tensor | float) -> PassMeans:
        """See `OnePass`."""
        first = self._kept()
        own: GradientMeans = first.weighted
        second = self._second.means(stop_votes)
        gradient = self._perturbation.combined(own.gradient, second.weighted.gradient, scalars.epoch)
        weighted = own._replace(gradient=gradient, unpenalised=own.unpenalised or own.gradient)
        return first._replace(weighted=weighted, stop_votes=second.stop_votes)

    def _asked(self, phase: int) -> tuple[Tree | None, Tree | None]:
        at = self._at()
        if phase == 0:
            return at, None
        theta = [tf.convert_to_tensor(v.value) for v in self._trainable] if at is None else at
        gradient = self._kept().weighted.gradient
        cast = [tf.cast(g, w.dtype) for g, w in zip(gradient, theta, strict=True)]
        return self._perturbation.shifted(theta, cast), None

    def _kept(self) -> PassMeans:
        return tf.nest.pack_sequence_as(self._like, _read(self._first))


def _scratch(like: Sequence[tf.TensorSpec], strategy: tf.distribute.Strategy) -> list[tf.Variable]:
    with strategy.scope():
        return [tf.Variable(tf.zeros(spec.shape, spec.dtype), trainable=False) for spec in like]


def _keep(variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(tf.cast(value, variable.dtype))


def _read(variables: Sequence[tf.Variable]) -> Tree:
    return [tf.convert_to_tensor(v) for v in variables]
