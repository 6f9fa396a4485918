"""The pass over an update batch: the one loop over micro-batches, its sums, and one all-reduce.

A *kernel* says what is computed of one micro-batch; a *feed* says where micro-batches come from (arrays on the
device, or chunks that stream from the host), see `passes`. `FullPass` loops over them on each replica, sums up, and
averages.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_fullbatch.core import keras_internals, trees
from tf_fullbatch.core.micro_batch import MicroBatch, StepScalars
from tf_fullbatch.core.passes import Contribution, Feed, Kernel, Metrics, PassMeans, Place, Source
from tf_fullbatch.core.traced_once import TracedOnce
from tf_fullbatch.core.trees import Tree


class FullPass:
    """A kernel's pass over update batches.

    Sums go straight into variables of each replica, one micro-batch after the other, so the order of the additions
    (and with it every bit) does not depend on how a pass is cut into calls. The variables belong to no Keras model:
    they are scratch space, not state.

    Args:
        kernel: What is computed of a micro-batch.
        read: Gives (theta, state), the variables' present values; called on each replica.
        dtype: Precision of the sums, float32 or float64.
        strategy: The strategy on whose replicas the sums live.
        metrics: Updated with every micro-batch; or None.
        most_micro_batches: Room for figures kept of each micro-batch.
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        read: Callable[[], tuple[Tree, Tree]],
        dtype: str,
        strategy: tf.distribute.Strategy,
        metrics: Metrics | None = None,
        most_micro_batches: int = 0,
    ):
        self._kernel = kernel
        self._read = read
        self._strategy = strategy
        self._metrics = metrics
        self._compiled: dict[Feed, TracedOnce] = {}
        self._cleared = keras_internals.compiled(self.clear)
        self._averaged = keras_internals.compiled(self._averaged_and_cleared)
        self._left_over = False  # of a pass that was broken off
        self._like = kernel.like()[:2]
        self._each = len(tf.nest.flatten(kernel.like()[2])) if most_micro_batches else 0
        leaves = tf.nest.flatten(self._like)
        self._tensors = [i for i, leaf in enumerate(leaves) if len(leaf.shape)]
        self._scalars = [i for i, leaf in enumerate(leaves) if not len(leaf.shape)]
        with strategy.scope():
            self._sums = [_scratch(leaves[i].shape, dtype) for i in self._tensors]
            # The scalars' sums, then those of their two kinds of weights, and the number of samples, as one vector.
            self._scalar_sums = _scratch([len(self._scalars) + 3], dtype)
            self._kept = _scratch([most_micro_batches, self._each], dtype)

    @property
    def reduced_bytes(self) -> int:
        """Bytes of the vector that is summed over the replicas: sums, figures of each micro-batch, a vote."""
        numbers = sum(math.prod(v.shape) for v in (*self._sums, self._scalar_sums, self._kept)) + 1
        return numbers * self._scalar_sums.dtype.size

    def run(
        self,
        source: Source,
        step: int,
        scalars: StepScalars,
        theta: Sequence[tf.Tensor] | None = None,
        *extra: Any,
        between: Callable[[Place], bool] = lambda place: True,
    ) -> PassMeans:
        """A whole pass over one step's samples, cut into calls; cross-replica context, from Python.

        Args:
            source: The update batches.
            step: The step within the epoch.
            scalars: The step's scalars, its epoch among them.
            theta: Tree, where the kernel is evaluated; None for the variables' present values.
            *extra: Handed to the kernel.
            between: Called before each call; where it returns False the pass is broken off, and votes to stop.
        """
        if self._left_over:
            self._cleared()
        self._left_over = True
        votes = 0.0
        for held, place in source.calls(int(scalars.epoch), step):
            if not between(place):
                votes = 1.0
                break
            self.added(source.feed, held, place, scalars, theta, *extra)
        means = self._averaged(tf.constant(votes))
        self._left_over = False
        return means

    def added(
        self,
        feed: Feed,
        held: Any,
        place: Place,
        scalars: StepScalars,
        theta: Sequence[tf.Tensor] | None = None,
        *extra: Any,
    ) -> None:
        """`add`, compiled; waits until it is done."""
        if feed not in self._compiled:
            self._compiled[feed] = TracedOnce(functools.partial(self.add, feed))
        done = self._compiled[feed](held, place, scalars, theta, *extra)
        self._strategy.experimental_local_results(done)[0].numpy()

    def add(
        self,
        feed: Feed,
        held: Any,
        place: Place,
        scalars: StepScalars,
        theta: Sequence[tf.Tensor] | None = None,
        *extra: Any,
    ) -> Any:
        """Adds micro-batches to the sums, on every replica; cross-replica context, in a graph.

        Args:
            feed: Where they come from.
            held: What the feed holds on each replica.
            place: Which.
            scalars: The step.
            theta: Tree, where the kernel is evaluated; None for the variables' present values.
            *extra: Handed to the kernel.

        Returns:
            A scalar of each replica that is there once it is done.
        """

        def on_replica(held: Any) -> tf.Tensor:
            fetch, begin, end = feed.micro_batches(held, place, scalars.epoch)

            def body(i: tf.Tensor) -> tf.Tensor:
                # Read here: a tensor from outside costs a loop more than a variable does.
                present, state = self._read()
                at = present if theta is None else list(theta)
                batch = fetch(i)
                self._add(self._contribution(at, state, batch, scalars, *extra), batch.index)
                return i + 1

            return tf.while_loop(
                lambda i: i < end, body, [tf.convert_to_tensor(begin)], parallel_iterations=1
            )[0]

        return self._strategy.run(on_replica, args=(held,))

    def like(self) -> PassMeans:
        """Specs of a pass's means; of no figures of each micro-batch."""
        dtype = self._scalar_sums.dtype
        weighted, sampled = tf.nest.map_structure(lambda leaf: tf.TensorSpec(leaf.shape, dtype), self._like)
        number = tf.TensorSpec([], dtype)
        return PassMeans(weighted, sampled, (), number, number)

    def of_one(
        self,
        feed: Feed,
        held: Any,
        place: Place,
        scalars: StepScalars,
        theta: Sequence[tf.Tensor] | None = None,
        *extra: Any,
    ) -> PassMeans:
        """The pass of a step that is one micro-batch on one replica, in a graph: its own figures are the means."""
        present, state = self._read()
        fetch, begin, _ = feed.micro_batches(held, place, scalars.epoch)
        at = present if theta is None else list(theta)
        contribution = self._contribution(at, state, fetch(begin), scalars, *extra)
        dtype = self._scalar_sums.dtype
        # Where nothing counts there is no mean, as after a division by the sum of weights.
        no_mean = tf.where(contribution.weight > 0, tf.zeros([], dtype), tf.constant(math.nan, dtype))

        def mean(leaf: tf.Tensor) -> tf.Tensor:
            return tf.cast(leaf, dtype) if leaf.shape.rank else tf.cast(leaf, dtype) + no_mean

        return PassMeans(
            tf.nest.map_structure(mean, contribution.weighted),
            tf.nest.map_structure(lambda leaf: tf.cast(leaf, dtype), contribution.sampled),
            tf.zeros([0, 0], dtype),
            tf.cast(contribution.samples, dtype),
            tf.zeros([], dtype),
        )

    def means(self, stop_votes: tf.Tensor | float = 0.0) -> PassMeans:
        """The averages over all replicas, by one all-reduce; cross-replica context.

        Args:
            stop_votes: Scalar, 1 where this worker was asked to stop, else 0. It travels with the sums, so that all
                workers learn of it in the same step.
        """
        dtype = self._scalar_sums.dtype
        votes = tf.reshape(tf.cast(stop_votes, dtype), [1])
        like = [*self._sums, self._scalar_sums, self._kept, votes]
        *sums, scalars, each, votes = self._reduced(like, votes)
        values = dict(zip(self._tensors, sums, strict=True))
        *numbers, weights, sample_weights, samples = tf.unstack(scalars)
        values |= dict(zip(self._scalars, numbers, strict=True))
        of_weight, of_samples = 1 / weights, 1 / sample_weights
        weighted = len(tf.nest.flatten(self._like[0]))
        means = [(of_weight if i < weighted else of_samples) * values[i] for i in range(len(values))]
        packed = tf.nest.pack_sequence_as(self._like, means)
        return PassMeans(packed[0], packed[1], each, samples, votes[0])

    def _averaged_and_cleared(self, stop_votes: tf.Tensor) -> PassMeans:
        means = self.means(stop_votes)
        self.clear()
        return means

    def clear(self) -> None:
        """Sets every sum to zero; cross-replica context."""

        def on_replica() -> None:
            for variable in [*self._sums, self._scalar_sums, *([self._kept] if self._each else [])]:
                variable.assign(tf.zeros(variable.shape, variable.dtype))

        self._strategy.run(on_replica)

    def _contribution(
        self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars, *extra: Any
    ) -> Contribution:
        contribution = self._kernel(theta, state, batch, scalars, *extra)
        if self._metrics is not None and contribution.scored is not None:
            self._metrics.update(contribution.scored)
        return contribution

    def _add(self, contribution: Contribution, index: tf.Tensor) -> None:
        """Adds one micro-batch to this replica's sums."""
        dtype = self._scalar_sums.dtype
        tf.nest.assert_same_structure(self._like, (contribution.weighted, contribution.sampled))
        # A factor that all micro-batches share and that scales without rounding may as well be left out.
        unit = _shared_power_of_two(contribution.weight, contribution.samples)
        samples = tf.cast(contribution.samples, dtype)
        one = tf.ones([], dtype)
        of_weight, of_samples = (one, one) if unit else (tf.cast(contribution.weight, dtype), samples)
        weighted, sampled = (
            [tf.cast(leaf, dtype) for leaf in tf.nest.flatten(part)]
            for part in (contribution.weighted, contribution.sampled)
        )
        terms = [*weighted, *sampled]
        if not unit:
            # Not in turn: the graph optimizer sees through these products, and rounds otherwise where it cannot.
            factors = [of_weight] * len(weighted) + [of_samples] * len(sampled)
            terms = [factor * term for factor, term in zip(factors, terms, strict=True)]
        of_scalars = tf.stack([*(terms[i] for i in self._scalars), of_weight, of_samples, samples])
        pairs = zip(
            [*self._sums, self._scalar_sums], [*(terms[i] for i in self._tensors), of_scalars], strict=True
        )
        trees.in_turn([functools.partial(v.assign_add, term, read_value=False) for v, term in pairs])
        if self._each:
            figures = tf.stack([tf.cast(f, dtype) for f in tf.nest.flatten(contribution.each)])
            # Not scatter_nd_add, which the variables of a strategy lack.
            self._kept.assign_add(tf.scatter_nd([[index]], figures[tf.newaxis], self._kept.shape))

    def _reduced(self, like: Sequence[tf.Variable | tf.Tensor], votes: tf.Tensor) -> Tree:
        """The sums over all replicas of each replica's variables, and of the votes."""
        variables = like[:-1]
        if self._strategy.num_replicas_in_sync == 1:
            return [*(tf.convert_to_tensor(v) for v in variables), votes]
        vectors = self._strategy.run(lambda: trees.flatten([*map(tf.convert_to_tensor, variables), votes]))
        vector = self._strategy.reduce(tf.distribute.ReduceOp.SUM, vectors, axis=None)
        return trees.unflatten(vector, like)


def _scratch(shape: Sequence[int], dtype: str) -> tf.Variable:
    return tf.Variable(
        tf.zeros(shape, dtype),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )


def _shared_power_of_two(weight: tf.Tensor, samples: tf.Tensor) -> bool:
    """Whether a micro-batch counts for its samples, a power of two known when the pass is compiled."""
    known, count = tf.get_static_value(weight), tf.get_static_value(samples)
    return known is not None and known == count and math.log2(max(count, 1)).is_integer()
