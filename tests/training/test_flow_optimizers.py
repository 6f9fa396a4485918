"""Flows as optimizers of `FullBatchModel` and as measures beside it: their steps, and what they keep."""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.float64 import Float64Case
from tests.training.flow_runs import X, Y, central_flow_by_hand, compiled, flat_of
from tf_fullbatch.errors import RunInterruptedError
from tf_fullbatch.optim.rules.central_flow import CentralFlow
from tf_fullbatch.optim.rules.gradient_flow import GradientFlow
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.measure import Measure
from tf_fullbatch.training.state import TrainingState

RATE, STEPS = 0.51, 4
"""The first sharpness, 4.3, is above 2 / lr = 3.9, the later ones critical now and then."""


def trained(optimizer: keras.optimizers.Optimizer, steps: int = STEPS, **given: Any) -> FullBatchModel:
    model = compiled(optimizer)
    model.fit(X, Y, epochs=steps, verbose=0, **given)
    return model


def weights(model: FullBatchModel) -> np.ndarray:
    return np.concatenate([np.ravel(v.numpy()) for v in model.network.trainable_variables])


@functools.cache
def by_hand() -> tuple[np.ndarray, ...]:
    """The positions after each step of the central flow, in float64."""
    made = central_flow_by_hand(RATE, STEPS)
    assert [len(step.prediction.variances) for step in made] == [2, 0, 1, 1]
    return tuple(step.theta for step in made)


def tanh_gradient(w: np.ndarray) -> np.ndarray:
    """The gradient of the mean squared error of the tanh network, by hand."""
    shapes = [(4, 4), (4,), (4, 4), (4,), (4, 2), (2,)]
    cuts = np.split(w, np.cumsum([int(np.prod(s)) for s in shapes])[:-1])
    a, b, c, d, e, f = (cut.reshape(s) for cut, s in zip(cuts, shapes, strict=True))
    first = np.tanh(X @ a + b)
    second = np.tanh(first @ c + d)
    error = 2 * (second @ e + f - Y) / Y.size
    back = (error @ e.T) * (1 - second**2)
    before = (back @ c.T) * (1 - first**2)
    leaves = (X.T @ before, before.sum(0), first.T @ back, back.sum(0), second.T @ error, error.sum(0))
    return np.concatenate([np.ravel(leaf) for leaf in leaves])


class StepTest(Float64Case):
    def test_the_central_flow_is_that_by_hand_bit_for_bit(self) -> None:
        model = trained(CentralFlow(RATE))
        self.assertAllEqual(weights(model), by_hand()[-1])
        self.assertEqual(model.steps_completed, STEPS)

    def test_the_central_flow_measured_beside_a_run_is_at_the_same_positions(self) -> None:
        beside = Measure("central_flow", every=2)
        trained(keras.optimizers.SGD(RATE), callbacks=[beside])
        self.assertAllEqual(beside.arrays()["central_flow/theta"], by_hand()[-1])
        self.assertEqual(beside.arrays()["central_flow/step"], STEPS)

    def test_gradient_flow_is_runge_and_kuttas_method_by_hand(self) -> None:
        model = compiled(GradientFlow(0.1))
        w = weights(model)
        h = 0.1  # less than 1 / sharpness, so that each step is one of Runge and Kutta's method
        for _ in range(3):
            k1 = tanh_gradient(w)
            k2 = tanh_gradient(w - h / 2 * k1)
            k3 = tanh_gradient(w - h / 2 * k2)
            k4 = tanh_gradient(w - h * k3)
            w = w - h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        model.fit(X, Y, epochs=3, verbose=0)
        self.assertAllClose(weights(model), w, rtol=0, atol=1e-14)
        self.assertGreater(np.linalg.norm(w - weights(compiled())), 0.3)

    def test_gradient_flow_measured_beside_a_run_is_at_the_same_positions(self) -> None:
        beside = Measure("gradient_flow", every=2)
        trained(keras.optimizers.SGD(RATE), 2, callbacks=[beside])
        self.assertAllEqual(beside.arrays()["gradient_flow/theta"], weights(trained(GradientFlow(RATE), 2)))

    def test_what_a_step_spends_is_recorded(self) -> None:
        model = compiled(GradientFlow(0.1))
        flat, theta = flat_of(model)
        before = flat.evaluations
        moved = model.optimizer.moved(flat, theta, 0.1, None)
        model.fit(X, Y, epochs=1, verbose=0)
        self.assertEqual(model.last_step["gradient_evaluations"], 1 + moved.evaluations)
        self.assertEqual(moved.evaluations, flat.evaluations - before)
        self.assertGreater(moved.evaluations, 4)

    def test_weights_set_by_somebody_else_are_gone_on_from(self) -> None:
        model = trained(GradientFlow(0.1), 2)
        other = [w + 0.1 for w in model.network.get_weights()]
        model.network.set_weights(other)
        model.fit(X, Y, epochs=1, verbose=0)
        fresh = compiled(GradientFlow(0.1))
        fresh.network.set_weights(other)
        fresh.fit(X, Y, epochs=1, verbose=0)
        self.assertAllClose(weights(model), weights(fresh), rtol=1e-9)

    def test_the_next_update_is_tried_and_taken_back(self) -> None:
        beside = Measure("gradient_flow_angle", "sharpness", every=1)
        trained(GradientFlow(0.01), 1, callbacks=[beside])
        found = beside.history.query("quantity == 'gradient_flow_angle'")["value"]
        self.assertBetween(found.iloc[0], 1e-3, 5)  # the flow has turned a little within the step

    def test_the_central_flow_keeps_to_gradient_descents_threshold(self) -> None:
        beside = Measure("sharpness", every=1)
        trained(CentralFlow(RATE), 1, callbacks=[beside])
        found = beside.history.query("of != '2'").set_index(["quantity", "step"])["value"]
        self.assertAllClose(found["threshold"], [2 / RATE, 2 / RATE], rtol=1e-12)
        self.assertGreater(found["ratio", 0], 1.1)
        self.assertBetween(found["ratio", 1], 0.95, 1.0)


class StateTest(tf.test.TestCase):
    """In float32, where the position is finer than the weights."""

    def test_resumed_after_an_odd_step_it_has_the_same_bits(self) -> None:
        for make in (lambda: CentralFlow(RATE, kept_vectors=2), lambda: GradientFlow(RATE)):
            whole, half = trained(make(), 2), trained(make(), 1)
            kept = TrainingState(half).capture()
            rest = compiled(make())
            rest.optimizer.build(rest.network.trainable_variables)
            state = TrainingState(rest)
            state.restore(kept)
            rest.fit(X, Y, initial_epoch=1, epochs=2, verbose=0)
            np.testing.assert_equal(state.capture(), TrainingState(whole).capture())
            position = whole.optimizer.position.numpy()
            self.assertEqual(position.dtype, np.float64)
            self.assertAllEqual(position.astype(np.float32), weights(whole))
            self.assertTrue((position != weights(whole)).any())

    def test_a_run_measured_in_two_parts_is_the_run_in_one(self) -> None:
        names = ("central_flow", "gradient_flow")
        whole, first, second = (Measure(*names, every=1) for _ in range(3))
        trained(keras.optimizers.SGD(RATE), 2, callbacks=[whole])
        model = trained(keras.optimizers.SGD(RATE), 1, callbacks=[first])
        second.restore({k: np.array(v, order="F") for k, v in first.arrays().items()})
        second.measured_step = first.measured_step
        model.fit(X, Y, initial_epoch=1, epochs=2, verbose=0, callbacks=[second])
        np.testing.assert_equal(second.arrays(), whole.arrays())
        pairs = zip([*first.records, *second.records], whole.records, strict=True)
        self.assertEmpty([a for a, b in pairs if a != b and a["quantity"] != "seconds"])

    def test_a_stop_within_a_step_leaves_everything_as_it_was(self) -> None:
        model = trained(GradientFlow(RATE), 1)
        before = TrainingState(model).capture()
        asked: list[int] = []

        def stop() -> str | None:
            asked.append(1)
            return "SIGTERM" if len(asked) >= 12 else None

        model.stop_requested = stop
        with self.assertRaisesRegex(RunInterruptedError, "SIGTERM"):
            model.fit(X, Y, initial_epoch=1, epochs=2, verbose=0)
        self.assertLess(len(asked), 16)  # the pass for the gradient asked 3 times; a step asks 50 times
        np.testing.assert_equal(TrainingState(model).capture(), before)
        model.stop_requested = lambda: None
        model.fit(X, Y, initial_epoch=1, epochs=2, verbose=0)
        self.assertAllEqual(weights(model), weights(trained(GradientFlow(RATE), 2)))

    def test_saved_and_loaded_with_its_settings(self) -> None:
        for optimizer in (CentralFlow(0.3, 2, 3, 1e-3), GradientFlow(0.3, 2, 1e-3)):
            restored = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
            self.assertEqual(type(restored), type(optimizer))
            self.assertEqual(restored.get_config(), optimizer.get_config())


if __name__ == "__main__":
    tf.test.main()
