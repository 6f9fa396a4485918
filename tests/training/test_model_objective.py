"""`FullBatchModel.objective`: the function that training descends, whatever the run's settings."""

import keras
import numpy as np
import tensorflow as tf

from tests.float64 import Float64Case
from tests.networks import softplus_network
from tests.training.small_models import X, Y, model_of
from tf_fullbatch.core import trees
from tf_fullbatch.core.penalties import Penalty
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.training.full_batch_model import FullBatchModel


def flat(x: trees.Tree) -> np.ndarray:
    return trees.flatten(x).numpy()


class ModelObjectiveTest(Float64Case):
    def model(self, momentum: float = 0.9, **settings: object) -> FullBatchModel:
        network = softplus_network(keras.layers.BatchNormalization(), keras.layers.Dropout(0.3, seed=1))
        return model_of(network, GradientDescent(0.1, momentum=momentum), micro_batch_size=5, **settings)

    def test_products_do_not_depend_on_the_runs_penalty_clipping_or_kernels(self) -> None:
        answers = []
        for settings in (
            {},
            {"penalty": "nested_tape", "penalty_strength": 0.5, "clip_norm": 0.01},
            {
                "penalty": "forward_differences",
                "penalty_strength": 0.5,
                "full_gradient_penalty_strength": 0.3,
            },
        ):
            objective = self.model(**settings).objective(X, Y)
            v = [tf.ones(leaf.shape, tf.float64) for leaf in objective.theta()]
            answers.append(
                [flat(objective.hvp(None, v)), flat(objective.hvp(None, v, "ggn")), objective.loss()]
            )
        for answer in answers[1:]:
            for found, expected in zip(answer, answers[0], strict=True):
                self.assertAllEqual(found, expected)

    def test_a_network_that_assigns_its_weights_is_asked_at_the_present_ones_alone(self) -> None:
        network = softplus_network(keras.layers.SpectralNormalization(keras.layers.Dense(4)))
        objective = model_of(network, GradientDescent(0.1), micro_batch_size=5).objective(X, Y)
        theta = objective.theta()
        self.assertAllEqual(objective.loss(), objective.value_and_gradient().loss)
        for ask in (
            lambda: objective.loss(theta),
            lambda: objective.value_and_gradient(theta),
            lambda: objective.hvp(None, theta),
            lambda: objective.linear_operator().matvec(flat(theta)),
            lambda: objective.micro_batches(theta),
        ):
            with self.assertRaisesRegex(UserError, "kernel' is assigned when the network is called"):
                ask()

    def test_its_penalised_gradient_is_the_step_that_is_made(self) -> None:
        model = self.model(
            momentum=0.0, penalty="nested_tape", penalty_strength=0.5, full_gradient_penalty_strength=0.3
        )
        objective = model.objective(X, Y)
        before = objective.theta()
        point = objective.value_and_gradient(penalty=Penalty(name="nested_tape"))
        model.fit(X, Y, epochs=1, verbose=0)
        step = flat(before) - flat(objective.theta())
        self.assertAllClose(step, 0.1 * flat(point.gradient), rtol=1e-12, atol=1e-14)
        self.assertAllClose(model.last_step["loss"], point.loss, rtol=1e-13, atol=0)
        self.assertAllClose(model.last_step["penalty"], point.penalty, rtol=1e-12, atol=0)

    def test_asking_changes_neither_weights_statistics_nor_optimizer(self) -> None:
        model = self.model()
        model.fit(X, Y, epochs=2, verbose=0)
        variables = [*model.network.variables, *model.optimizer.variables]
        before = [v.numpy() for v in variables]
        objective = model.objective(X, Y)
        v = objective.theta()
        objective.loss()
        objective.value_and_gradient(penalty=Penalty(name="forward_over_reverse"))
        objective.hvp(trees.scale(0.5, v), v)
        objective.hvp(None, v, "ggn")
        objective.micro_batches()
        for variable, old in zip(variables, before, strict=True):
            self.assertAllEqual(variable, old)
        self.assertEqual(model.steps_completed, 2)


if __name__ == "__main__":
    tf.test.main()
