"""What flows refuse before the first step, as optimizers and as measures, and how they end."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.training.flow_runs import X, Y, compiled, tanh_network
from tf_fullbatch.errors import NoStepError, UserError
from tf_fullbatch.optim.keras_schedule import build_schedule
from tf_fullbatch.optim.rules.central_flow import CentralFlow
from tf_fullbatch.optim.rules.gradient_flow import GradientFlow
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.measure import Measure

RATE = 0.1


class RefusedTest(Float64Case):
    """Before the first step, in one line."""

    def assert_refused(self, words: str, *models: FullBatchModel, **given: Any) -> None:
        for model in models:
            model.network.build((None, 4))
            before = [w.copy() for w in model.network.get_weights()]
            with self.assertRaisesRegex(UserError, words) as caught:
                model.fit(X, Y, epochs=1, verbose=0, **given)
            self.assertLen(str(caught.exception).splitlines(), 1)
            for a, b in zip(before, model.network.get_weights(), strict=True):
                self.assertAllEqual(a, b)

    def both(self, **settings: Any) -> list[FullBatchModel]:
        return [compiled(CentralFlow(RATE), **settings), compiled(GradientFlow(RATE), **settings)]

    @parameterized.parameters(
        ({"clip_norm": 0.25}, "clip_norm=0.25"),
        ({"additive_noise": 0.1}, "additive_noise=0.1"),
        ({"learning_rate_factors": "kernel=0.5"}, "learning_rate_factors=kernel=0.5"),
        ({"penalty": "nested_tape", "penalty_strength": 0.5}, "penalty=nested_tape"),
    )
    def test_what_else_a_step_would_do(self, settings: dict[str, Any], named: str) -> None:
        self.assert_refused(f"optimizer=(central|gradient)_flow: .*{named}: leave", *self.both(**settings))

    def test_update_batches_that_are_not_the_set(self) -> None:
        self.assert_refused("3 updates per pass .set batch_size=full", *self.both(), batch_size=5)

    def test_a_rate_that_changes(self) -> None:
        moving = build_schedule("cosine", peak=0.1, warmup_epochs=0, horizon_epochs=3, steps_per_epoch=1)
        models = [compiled(CentralFlow(moving)), compiled(GradientFlow(moving))]
        self.assert_refused("a learning rate that changes .set schedule=constant", *models)

    @parameterized.parameters(
        (lambda: keras.layers.BatchNormalization(), "moves the variable"),
        (lambda: keras.layers.Dropout(0.5), "draws random numbers"),
    )
    def test_losses_that_are_not_one_function(self, layer: Callable[[], Any], words: str) -> None:
        for optimizer in (CentralFlow(RATE), GradientFlow(RATE)):
            network = keras.Sequential(
                [keras.Input((4,)), keras.layers.Dense(3), layer(), keras.layers.Dense(2)]
            )
            self.assert_refused(words, compiled(optimizer, network))

    def test_a_network_without_third_derivatives_has_gradient_flow_alone(self) -> None:
        def relu() -> keras.Model:
            return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2)])

        self.assert_refused("optimizer=central_flow: .* uses Relu", compiled(CentralFlow(RATE), relu()))
        model = compiled(GradientFlow(0.1), relu())
        model.fit(X, Y, epochs=2, verbose=0)
        self.assertEqual(model.steps_completed, 2)

    @parameterized.parameters("central_flow", "gradient_flow")
    def test_measured_beside_momentum(self, name: str) -> None:
        model = compiled(keras.optimizers.SGD(0.1, momentum=0.9))
        self.assert_refused(f"measure={name}: .*momentum=0.9: leave", model, callbacks=[Measure(name)])

    def test_by_keras_own_fit(self) -> None:
        network = tanh_network()
        network.compile(optimizer=GradientFlow(0.1), loss="mse")
        with self.assertRaisesRegex(UserError, "train by FullBatchModel.fit"):
            network.fit(X, Y, verbose=0)

    @parameterized.parameters(
        (lambda: CentralFlow(0.1, substeps=0), "substeps=0"),
        (lambda: CentralFlow(0.1, kept_vectors=0), "kept_vectors=0"),
        (lambda: GradientFlow(0.1, tolerance=1.0), "tolerance=1.0"),
        (lambda: GradientFlow(0.1, solve_every=0), "solve_every=0"),
    )
    def test_values_out_of_range(self, make: Callable[[], Any], words: str) -> None:
        with self.assertRaisesRegex(UserError, words):
            make()


class EndedTest(Float64Case):
    """A linear network has no third derivatives that could hold its curvature: above 2 / lr all there is, is growth."""

    @staticmethod
    def linear(optimizer: Any) -> FullBatchModel:
        return compiled(optimizer, keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))

    def test_the_optimizer_keeps_the_weights(self) -> None:
        model = self.linear(CentralFlow(3.0))
        before = [w.copy() for w in model.network.get_weights()]
        with self.assertRaisesRegex(NoStepError, "no step 1 of central_flow, .* no oscillation lowers them"):
            model.fit(X, Y, epochs=1, verbose=0)
        for a, b in zip(before, model.network.get_weights(), strict=True):
            self.assertAllEqual(a, b)
        self.assertEqual(model.steps_completed, 0)

    def test_beside_a_run_its_figures_are_nan_and_the_run_goes_on(self) -> None:
        beside = Measure("central_flow", every=2)
        model = self.linear(keras.optimizers.SGD(3.0))
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[beside])
        self.assertEqual(model.steps_completed, 3)
        values = beside.history.query("quantity == 'predicted_loss'")["value"]
        self.assertAllEqual(np.isnan(values), [True, True, True])


if __name__ == "__main__":
    tf.test.main()
