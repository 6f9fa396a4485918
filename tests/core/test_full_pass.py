"""Passes over micro-batches on the default strategy; tests/core/two_replicas.py and tests/training have several."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_fullbatch.core.full_pass import FullPass
from tf_fullbatch.core.micro_batch import MicroBatch, StepScalars
from tf_fullbatch.core.passes import Contribution, Fetch, PassMeans, Place, Scored

SHAPES = ((2, 3), (), (4,))
SCALARS = StepScalars(*(tf.constant(0, tf.int64) for _ in range(2)), *(tf.zeros([]) for _ in range(3)))


def trees(count: int, dtype: str = "float64") -> list[list[np.ndarray]]:
    generator = np.random.default_rng(0)
    return [[generator.normal(size=shape).astype(dtype) for shape in SHAPES] for _ in range(count)]


class Held(NamedTuple):
    """Per micro-batch: what it contributes, its weight, its samples."""

    values: list[tf.Tensor]
    weights: tf.Tensor
    samples: tf.Tensor


class Given:
    """A feed whose micro-batches are rows of what is held, in rounds begin <= i < end."""

    def micro_batches(self, held: Held, place: Place, epoch: tf.Tensor) -> tuple[Fetch, tf.Tensor, tf.Tensor]:
        del epoch

        def fetch(i: tf.Tensor) -> MicroBatch:
            values = [value[i] for value in held.values]
            return MicroBatch(values, held.weights[i], held.samples[i], tf.cast(i, tf.int64))

        return fetch, place.begin, place.end


class GivenSource:
    """Micro-batches of contributions, in calls of some rounds."""

    feed = Given()

    def __init__(self, held: Held, rounds_per_call: int = 2):
        self._held = held
        self._size = rounds_per_call

    def calls(self, epoch: int, step: int) -> Iterator[tuple[Held, Place]]:
        del epoch
        rounds = len(self._held.weights)
        for begin in range(0, rounds, self._size):
            end = min(begin + self._size, rounds)
            yield self._held, Place(*(tf.constant(n, tf.int32) for n in (step, begin, end)))


class Handed:
    """A kernel that contributes what the micro-batch brings: all weighted, the last leaf again by samples and each."""

    def __init__(self, shapes: tuple[tuple[int, ...], ...] = SHAPES):
        self._shapes = shapes

    def like(self) -> tuple[list[tf.TensorSpec], Any, Any]:
        specs = [tf.TensorSpec(shape) for shape in self._shapes]
        return specs, specs, (tf.TensorSpec([]), tf.TensorSpec([]))

    def __call__(
        self, theta: Any, state: Any, batch: MicroBatch, scalars: StepScalars, *extra: Any
    ) -> Contribution:
        del theta, state, scalars, extra
        weight, samples = batch.targets, batch.sample_ids
        values = list(batch.inputs)
        return Contribution(
            values, values, (weight, samples), weight, samples, Scored(weight, samples, None, None)
        )


def held(
    weights: list[int], values: list[list[np.ndarray]] | None = None, samples: list[int] | None = None
) -> Held:
    values = trees(len(weights)) if values is None else values
    leaves = [tf.constant(np.stack(leaf)) for leaf in zip(*values, strict=True)]
    return Held(leaves, tf.constant(weights), tf.constant(weights if samples is None else samples))


def a_pass(dtype: str = "float64", kernel: Any = None, **settings: Any) -> FullPass:
    arguments = {"read": lambda: ([], []), "dtype": dtype, "strategy": tf.distribute.get_strategy()}
    return FullPass(kernel or Handed(), **{**arguments, **settings})


def add(full_pass: FullPass, held: Held) -> None:
    """All that is held, in one call."""
    place = Place(*(tf.constant(n) for n in (0, 0, len(held.weights))))
    full_pass.added(GivenSource.feed, held, place, SCALARS)


class SumsTest(tf.test.TestCase):
    @settings(deadline=None, max_examples=20)
    @given(weights=st.lists(st.integers(0, 200), min_size=1, max_size=6).filter(any), size=st.integers(1, 6))
    def test_are_the_weighted_sums_and_the_count(self, weights, size):
        values = trees(len(weights))
        means = a_pass().run(GivenSource(held(weights, values), size), 0, SCALARS)
        self.assertEqual((float(means.samples), float(means.stop_votes)), (sum(weights), 0.0))
        for i, shape in enumerate(SHAPES):
            expected = sum((w * t[i] for w, t in zip(weights, values, strict=True)), np.zeros(shape))
            total = sum(weights) * means.weighted[i]
            self.assertAllClose(total, expected, rtol=1e-14, atol=1e-13)

    def test_without_a_weight_there_is_no_mean(self):
        # What is not finite is refused, whatever comes of it.
        means = a_pass().run(GivenSource(held([0, 0])), 0, SCALARS)
        self.assertEqual(float(means.samples), 0.0)
        for leaf in means.weighted:
            self.assertTrue(np.isnan(leaf).all())

    def test_votes_to_stop_travel_with_the_sums(self):
        full_pass = a_pass()
        add(full_pass, held([2]))
        self.assertEqual(float(full_pass.means(tf.constant(1.0)).stop_votes), 1.0)
        self.assertEqual(float(full_pass.means().stop_votes), 0.0)

    def test_clear_forgets(self):
        full_pass, (first, second) = a_pass(), trees(2)
        add(full_pass, held([3], [first]))
        full_pass.clear()
        add(full_pass, held([1], [second]))
        means = full_pass.means()
        self.assertEqual((float(means.samples), float(means.stop_votes)), (1.0, 0.0))
        for total, value in zip(means.weighted, second, strict=True):
            self.assertAllEqual(total, value)

    def test_clear_forgets_what_is_not_finite(self):
        full_pass = a_pass(most_micro_batches=1)
        add(full_pass, held([1], [[np.full(shape, np.nan) for shape in SHAPES]]))
        self.assertAllEqual(full_pass.means().weighted[0], np.full((2, 3), np.nan))
        full_pass.clear()
        add(full_pass, held([1], [[np.zeros(shape) for shape in SHAPES]]))
        self.assertAllEqual(full_pass.means().weighted[0], np.zeros((2, 3)))

    def test_a_pass_begins_with_cleared_sums(self):
        full_pass, source = a_pass(most_micro_batches=2), GivenSource(held([3, 1]))
        first, second = (full_pass.run(source, 0, SCALARS) for _ in range(2))
        for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True):
            self.assertAllEqual(a, b)

    def test_dtype_is_that_of_the_sums_whatever_is_added(self):
        # 1 + 2^-30 is lost in float32, and kept where float32 values are summed in float64.
        values = [[np.float32(1.0)], [np.float32(2.0**-30)]]
        for dtype, kept in (("float32", 0.0), ("float64", 2.0**-30)):
            full_pass = a_pass(dtype, Handed(((),)))
            add(full_pass, held([1, 1], values))
            (mean,) = full_pass.means().weighted
            self.assertEqual(mean.dtype.name, dtype)
            self.assertEqual(2 * float(mean) - 1, kept)

    def test_half_precision_values_are_weighted_in_the_sums_precision(self):
        # 3 * 1.0078125 is no bfloat16. The fourth sample, of value 0, makes the mean exact.
        full_pass = a_pass("float32", Handed(((),)))
        values = [tf.constant([1.0078125, 0.0], tf.bfloat16)]
        add(full_pass, Held(values, tf.constant([3, 1]), tf.constant([3, 1])))
        self.assertEqual(4 * float(full_pass.means().weighted[0]), 3.0234375)

    def test_counts_every_sample_of_a_large_data_set(self):
        full_pass = a_pass("float32", Handed(()))
        add(full_pass, Held([], tf.constant([2**22 + 1] * 3), tf.constant([2**22 + 1] * 3)))
        self.assertEqual(int(full_pass.means().samples), 3 * (2**22 + 1))

    def test_trees_of_another_length_are_refused(self):
        with self.assertRaises(ValueError):
            add(a_pass(), held([1], [trees(1)[0][:-1]]))


class MeansTest(tf.test.TestCase):
    def run_(self, size: int = 2, **settings: Any) -> PassMeans:
        data = held([3, 0, 5], samples=[4, 2, 1])
        return a_pass(**settings).run(GivenSource(data, size), 0, SCALARS)

    def test_what_is_weighted_and_what_is_sampled_are_averaged_by_their_own(self):
        means, values = self.run_(), trees(3)
        for i in range(len(SHAPES)):
            by_weight = (3 * values[0][i] + 5 * values[2][i]) / 8
            by_samples = (4 * values[0][i] + 2 * values[1][i] + values[2][i]) / 7
            self.assertAllClose(means.weighted[i], by_weight, rtol=1e-14, atol=1e-15)
            self.assertAllClose(means.sampled[i], by_samples, rtol=1e-14, atol=1e-15)
        self.assertEqual(float(means.samples), 7)

    def test_how_a_pass_is_cut_into_calls_changes_no_bit(self):
        first, *others = (self.run_(size, dtype="float32", most_micro_batches=3) for size in (1, 2, 3))
        for other in others:
            for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(other), strict=True):
                self.assertEqual(a.numpy().tobytes(), b.numpy().tobytes())

    def test_figures_of_each_micro_batch_stand_at_its_index(self):
        self.assertAllEqual(self.run_(most_micro_batches=5).each, [[3, 4], [0, 2], [5, 1], [0, 0], [0, 0]])
        self.assertEqual(self.run_().each.shape[0], 0)

    def test_metrics_see_what_is_scored(self):
        class Seen:
            """Adds up `targets + 10 outputs`."""

            def __init__(self):
                self.total = tf.Variable(0.0)

            def update(self, scored):
                self.total.assign_add(tf.cast(scored.targets + 10 * scored.outputs, tf.float32))

        seen = Seen()
        self.run_(metrics=seen)
        self.assertEqual(float(seen.total), 3 + 0 + 5 + 10 * (4 + 2 + 1))


class AskedTest(tf.test.TestCase):
    """What `run` hands on."""

    class Echo:
        """Contributes theta + 10 state + 100 step + 1000 extra (nothing where it is None)."""

        def like(self):
            return tf.TensorSpec([2]), (), ()

        def __call__(self, theta, state, batch, scalars, extra=None):
            total = theta[0] + 10 * state[0] + 100 * tf.cast(scalars.step, tf.float64)
            total = total if extra is None else total + 1000 * extra[0]
            return Contribution(total, (), (), batch.targets, batch.sample_ids)

    def setUp(self):
        super().setUp()
        self.weight, self.state = (
            tf.Variable([1.0, 2.0], dtype=tf.float64),
            tf.Variable(3.0, dtype=tf.float64),
        )

        def read():
            return [tf.convert_to_tensor(self.weight)], [tf.convert_to_tensor(self.state)]

        self.full_pass = a_pass(kernel=self.Echo(), read=read)
        self.source = GivenSource(held([1, 2, 3]))

    def ask(self, step=0, *arguments, **settings):
        scalars = SCALARS._replace(step=tf.constant(step, tf.int64))
        return self.full_pass.run(self.source, 0, scalars, *arguments, **settings)

    def test_present_values_or_those_asked_about(self):
        self.assertAllClose(self.ask().weighted, [31.0, 32.0], rtol=1e-15, atol=0)
        at = [tf.constant([5.0, 6.0], tf.float64)]
        self.assertAllClose(self.ask(2, at).weighted, [235.0, 236.0], rtol=1e-15, atol=0)
        self.weight.assign([7.0, 8.0])
        self.state.assign(0.0)
        self.assertAllClose(self.ask().weighted, [7.0, 8.0], rtol=1e-15, atol=0)
        self.assertAllClose(self.ask(0, at).weighted, [5.0, 6.0], rtol=1e-15, atol=0)

    def test_further_arguments_reach_the_kernel(self):
        extra = [tf.constant([1.0, 2.0], tf.float64)]
        self.assertAllClose(self.ask(0, None, extra).weighted, [1031.0, 2032.0], rtol=1e-15, atol=0)
        self.assertAllClose(self.ask(0, None, None).weighted, [31.0, 32.0], rtol=1e-15, atol=0)

    def test_between_is_asked_before_each_call_and_may_end_the_pass(self):
        places: list[tuple[int, int]] = []

        def between(place: Place) -> bool:
            places.append((int(place.begin), int(place.end)))
            return len(places) < 2

        broken_off = self.ask(between=between)
        self.assertEqual(places, [(0, 2), (2, 3)])
        self.assertEqual(float(broken_off.stop_votes), 1.0)
        self.assertEqual(float(broken_off.samples), 1 + 2)
        whole = self.ask()
        self.assertEqual((float(whole.samples), float(whole.stop_votes)), (6.0, 0.0))


if __name__ == "__main__":
    tf.test.main()
