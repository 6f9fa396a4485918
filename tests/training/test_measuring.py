"""When measures are asked, what they see of a training, and that they leave it as it is."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.networks import softplus_network
from tests.training.small_models import SAMPLES, X, Y, model_of, weights
from tf_fullbatch.analysis.measures.base import Figure, Measure
from tf_fullbatch.errors import RunInterruptedError
from tf_fullbatch.optim.keras_schedule import build_schedule
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.optim.stability import stability_of
from tf_fullbatch.training.measuring import Measured, Measurements
from tf_fullbatch.training.moment import TrainingMoment

Look = Callable[[TrainingMoment], Any]


class Looking(Measure):
    """Measures what it is told to, and counts how often."""

    def __init__(self, look: Look):
        self.look = look
        self.count = 0

    def figures(self, moment: TrainingMoment) -> list[Figure]:
        self.count += 1
        return [Figure("seen", float(self.look(moment))), Figure("count", self.count)]

    def state(self) -> dict[str, np.ndarray]:
        return {"count": np.asarray(self.count)}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        self.count = int(arrays["count"])


def watching(look: Look, every: int = 2, **options: Any) -> tuple[Measurements, list[Measured]]:
    found: list[Measured] = []
    return (
        Measurements(
            {"look": Looking(look)}, every=every, statistics="batch", record=found.append, **options
        ),
        found,
    )


def seen(found: list[Measured], quantity: str = "seen") -> list[float]:
    return [r["value"] for one in found for r in one.records if r["quantity"] == quantity]


class CadenceTest(tf.test.TestCase, parameterized.TestCase):
    def fit(self, every: int, epochs: int, batch_size: int | None = None, **options: Any) -> list[Measured]:
        measurements, found = watching(lambda moment: moment.step, every, **options)
        model_of(micro_batch_size=8).fit(
            X, Y, epochs=epochs, batch_size=batch_size, verbose=0, callbacks=[measurements]
        )
        return found

    def test_before_the_first_step_at_the_cadence_and_after_the_last(self) -> None:
        self.assertEqual(seen(self.fit(every=3, epochs=7)), [0, 3, 6, 7])
        self.assertEqual(seen(self.fit(every=3, epochs=6)), [0, 3, 6])

    def test_within_epochs_of_many_steps(self) -> None:
        found = self.fit(every=4, epochs=3, batch_size=8)  # 3 steps per epoch
        self.assertEqual(seen(found), [0, 4, 8, 9])
        self.assertAllClose([one.records[0]["epoch"] for one in found], [0, 4 / 3, 8 / 3, 3], rtol=1e-15)

    def test_at_the_ends_of_stretches(self) -> None:
        self.assertEqual(seen(self.fit(every=4, epochs=7, ends=(3, 7))), [0, 3, 4, 7])

    def test_what_was_measured_is_not_measured_again(self) -> None:
        self.assertEqual(seen(self.fit(every=3, epochs=3, measured_step=0)), [3])

    def test_each_says_what_it_cost(self) -> None:
        measurements, found = watching(lambda moment: moment.point().loss + moment.point().loss)
        model_of().fit(X, Y, epochs=1, verbose=0, callbacks=[measurements])
        self.assertEqual(seen(found, "gradient_evaluations"), [1, 1])
        self.assertTrue(all(value > 0 for value in seen(found, "seconds")))

    def test_compiles_once(self) -> None:
        traces = []

        def look(moment: TrainingMoment) -> float:
            moment.point()
            (full_pass,) = moment.objective._passes.compiled.values()
            traces.append((id(full_pass), sum(t.count for t in full_pass._compiled.values())))
            return 0.0

        measurements, _ = watching(look, every=1)
        model_of().fit(X, Y, epochs=3, verbose=0, callbacks=[measurements])
        self.assertLen(set(traces), 1)
        self.assertEqual(traces[0][1], 1)


OPTIMIZERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "nesterov": lambda: GradientDescent(0.3, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda: keras.optimizers.AdamW(0.03, weight_decay=0.1),
    "schedule": lambda: GradientDescent(
        build_schedule("cosine", peak=0.4, warmup_epochs=2, horizon_epochs=5, steps_per_epoch=1)
    ),
}

SETTINGS: dict[str, dict[str, Any]] = {
    "clipped": {"clip_norm": 0.05},
    "penalty": {"penalty": "nested_tape", "penalty_strength": 0.5, "clip_norm": 0.2},
    "both penalties": {
        "penalty": "forward_differences",
        "penalty_strength": 0.5,
        "full_gradient_penalty_strength": 0.3,
    },
    "micro-batches clipped": {"micro_batch_clip_norm": 0.1},
    "perturbed": {"perturbation": "sam", "clip_norm": 0.05},
    "transforms": {
        "gradient_transforms": "centralize,adaptive_clip(threshold=0.1),l1(coefficient=0.01),clip",
        "update_transforms": "weight_decay(coefficient=0.2),clip(norm=0.05)",
        "clip_norm": 0.05,
    },
}


class NextStepTest(Float64Case):
    @parameterized.parameters(
        ("nesterov", "clipped"),
        ("nesterov", "micro-batches clipped"),
        ("adam", "penalty"),
        ("schedule", "both penalties"),
        ("nesterov", "perturbed"),
        ("nesterov", "transforms"),
    )
    def test_the_update_is_the_one_that_comes_and_nothing_changes(
        self, optimizer: str, settings: str
    ) -> None:
        network = softplus_network(keras.layers.BatchNormalization(), keras.layers.Dropout(0.3, seed=1))
        model = model_of(network, OPTIMIZERS[optimizer](), micro_batch_size=8, **SETTINGS[settings])
        tried, before = [], []

        def look(moment: TrainingMoment) -> float:
            kept = [v.numpy() for v in [*network.variables, *model.optimizer.variables]]
            tried.append([np.array(u) for u in moment.update()])
            after = [v.numpy() for v in [*network.variables, *model.optimizer.variables]]
            for a, b in zip(kept, after, strict=True):
                self.assertEqual(np.asarray(a).tobytes(), np.asarray(b).tobytes())
            before.append([v.numpy() for v in network.trainable_variables])
            return moment.stability is not None and moment.learning_rate

        measurements, found = watching(look, every=1)
        model.fit(X.astype("float64"), Y, epochs=4, verbose=0, callbacks=[measurements])
        for update, here, there in zip(tried, before, before[1:], strict=False):
            for u, a, b in zip(update, here, there, strict=True):
                self.assertAllClose(u, b - a, rtol=1e-9, atol=1e-14)
        self.assertGreater(np.abs(tried[0][0]).max(), 1e-6)
        self.assertLen(found, 5)

    def test_threshold_with_perturbed_weights(self) -> None:
        # The method sees l + a rho l^2 / |g| where the curvature is l, and bears T of it.
        for settings, length in (
            ({"perturbation": "sam"}, 0.05),
            ({"perturbation": "gradient_norm", "perturbation_options": "weight=0.5"}, 0.025),
            ({"perturbation": "micro_batch_sam"}, None),
            ({"perturbation": "asam"}, None),
        ):
            model = model_of(optimizer=OPTIMIZERS["nesterov"](), micro_batch_size=8, **settings)

            def look(moment: TrainingMoment) -> float:
                if moment.stability is None:
                    return -1.0
                curvature = moment.stability.threshold
                norm = np.sqrt(sum(np.sum(np.square(g)) for g in moment.point().gradient))
                return curvature + length * curvature**2 / norm  # noqa: B023 (asked before the next turn)

            measurements, found = watching(look, every=1)
            model.fit(X.astype("float64"), Y, epochs=2, verbose=0, callbacks=[measurements])
            bears = stability_of(model.optimizer, 0.3, model.network.trainable_variables)
            expected = -1.0 if length is None else bears.threshold
            self.assertAllClose(seen(found), 3 * [expected], rtol=1e-10)

    def test_of_minibatches_it_is_the_next_ones(self) -> None:
        model = model_of(optimizer=GradientDescent(0.2), micro_batch_size=4)
        tried, before = [], []

        def look(moment: TrainingMoment) -> float:
            tried.append(np.array(moment.update()[0]))
            before.append(model.network.trainable_variables[0].numpy())
            self.assertEqual(moment.objective._passes.micro_batches, 6)  # the whole set's
            return 0.0

        measurements, _ = watching(look, every=1)
        model.fit(
            X.astype("float64"), Y, epochs=2, batch_size=8, shuffle=True, verbose=0, callbacks=[measurements]
        )
        for update, here, there in zip(tried, before, before[1:], strict=False):
            self.assertAllClose(update, there - here, rtol=1e-9, atol=1e-14)

    def test_the_objective_is_what_descends(self) -> None:
        network = softplus_network(keras.layers.BatchNormalization(), keras.layers.Dropout(0.3, seed=1))
        model = model_of(network, micro_batch_size=8)
        losses = []

        class Losses(keras.callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                losses.append(model.last_step["loss"])

        measurements, found = watching(lambda moment: moment.point().loss, every=1)
        model.fit(X.astype("float64"), Y, epochs=3, verbose=0, callbacks=[measurements, Losses()])
        self.assertAllClose(seen(found)[:3], losses, rtol=1e-12)

    def test_after_the_last_step_the_rate_is_its_own(self) -> None:
        schedule = build_schedule("cosine", peak=0.4, warmup_epochs=0, horizon_epochs=3, steps_per_epoch=1)
        model = model_of(optimizer=GradientDescent(schedule))
        measurements, found = watching(lambda moment: moment.learning_rate, every=1)
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[measurements])
        rates = [schedule.rate_at_epoch(t) for t in range(3)]
        self.assertAllClose(seen(found), [*rates, rates[-1]], rtol=1e-6)
        self.assertGreater(rates[-1], 0)
        self.assertEqual(model.steps_completed, 3)

    @parameterized.parameters(
        ({"penalty": "nested_tape", "penalty_strength": 0.5}, True),
        ({"penalty": "forward_differences", "penalty_strength": 0.5}, False),
        (
            {
                "penalty": "nested_tape",
                "penalty_strength": 0.5,
                "full_gradient_penalty_strength": 0.5,
            },
            False,
        ),
        ({}, False),
    )
    def test_a_penalty_that_has_a_hessian(self, settings: dict[str, Any], has: bool) -> None:
        measurements, found = watching(lambda moment: moment.penalty is not None)
        model_of(**settings).fit(X.astype("float64"), Y, epochs=1, verbose=0, callbacks=[measurements])
        self.assertEqual(seen(found), [has, has])

    def test_by_samples(self) -> None:
        network = softplus_network(keras.layers.BatchNormalization())
        model = model_of(network, micro_batch_size=8)
        x = X.astype("float64")

        def look(moment: TrainingMoment) -> float:
            figures = moment.by_samples().micro_batches()
            self.assertLen(figures.loss, SAMPLES)
            outputs = network(x, training=False)
            expected = tf.nn.sparse_softmax_cross_entropy_with_logits(Y, outputs)
            self.assertAllClose(figures.loss, expected, rtol=1e-12)
            return 0.0

        measurements, found = watching(look)
        model.fit(x, Y, epochs=1, verbose=0, callbacks=[measurements])
        self.assertLen(found, 2)


class InterruptionTest(tf.test.TestCase):
    def test_a_stop_within_a_measurement_drops_it(self) -> None:
        model = model_of(micro_batch_size=8)
        state = {"asked": False}

        def look(moment: TrainingMoment) -> float:
            if moment.step == 2 and not state["asked"]:
                state["asked"] = True
                model.stop_requested = lambda: "SIGTERM"
            return float(moment.point().loss)

        measurements, found = watching(look)
        with self.assertRaisesRegex(RunInterruptedError, "SIGTERM"):
            model.fit(X, Y, epochs=6, verbose=0, callbacks=[measurements])
        self.assertEqual(model.steps_completed, 2)
        self.assertEqual([one.step for one in found], [0])
        self.assertEqual(measurements.measured_step, 0)
        self.assertEqual(measurements.arrays()["look/count"], 1)  # as if it had not begun
        model.stop_requested = lambda: None
        resumed, rest = watching(look, measured_step=measurements.measured_step)
        resumed.restore(measurements.arrays())
        model.fit(X, Y, epochs=6, initial_epoch=2, verbose=0, callbacks=[resumed])
        straight, whole = watching(lambda moment: moment.point().loss)
        model_of(micro_batch_size=8).fit(X, Y, epochs=6, verbose=0, callbacks=[straight])
        for quantity in ("seen", "count"):
            self.assertEqual(seen([*found, *rest], quantity), seen(whole, quantity))

    def test_after_the_last_step_it_is_raised_all_the_same(self) -> None:
        model = model_of()

        def look(moment: TrainingMoment) -> float:
            if moment.step == 2:
                model.stop_requested = lambda: "SIGTERM"
            return float(moment.point().loss)

        measurements, found = watching(look)
        with self.assertRaises(RunInterruptedError):
            model.fit(X, Y, epochs=2, verbose=0, callbacks=[measurements])
        self.assertEqual([one.step for one in found], [0])


class TrainingTest(tf.test.TestCase):
    def test_training_does_not_depend_on_it(self) -> None:
        def trained(callbacks: list[keras.callbacks.Callback]) -> np.ndarray:
            network = softplus_network(keras.layers.BatchNormalization(), keras.layers.Dropout(0.3, seed=1))
            model = model_of(network, micro_batch_size=8, clip_norm=0.1, additive_noise=0.01)
            model.fit(X, Y, epochs=5, verbose=0, callbacks=callbacks)
            return weights(model)

        def look(moment: TrainingMoment) -> float:
            moment.update()
            moment.by_samples().loss()
            return float(moment.point().loss)

        measurements, _ = watching(look)
        self.assertAllEqual(trained([measurements]), trained([]))


if __name__ == "__main__":
    tf.test.main()
