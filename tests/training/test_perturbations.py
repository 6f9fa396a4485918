"""Gradients at perturbed weights over epochs of several update batches, against a loop written by hand."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.networks import softplus_network
from tests.training.by_hand import (
    EPOCHS,
    MICRO_BATCH,
    SEED,
    STATISTICS_MOMENTUM,
    UPDATE_BATCH,
    FallingRate,
    Step,
    flat,
    gradient,
    measured,
    micro_batches,
    train_by_hand,
)
from tests.training.small_models import X, Y, model_of
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.training.full_batch_model import FullBatchModel


def kernels_of(network: keras.Model) -> np.ndarray:
    """1 for each weight of a kernel, 0 for others."""
    return np.concatenate(
        [np.full(v.value.shape.num_elements(), len(v.shape) > 1) for v in network.trainable_variables]
    )


def perturbed(theta: tf.Tensor, g: tf.Tensor, radius: float) -> tf.Tensor:
    return theta + radius * g / tf.norm(g)


def adaptively(kernels: np.ndarray, eta: float) -> Callable[..., tf.Tensor]:
    def move(theta: tf.Tensor, g: tf.Tensor, radius: float) -> tf.Tensor:
        t = tf.where(kernels, tf.abs(theta) + eta, 1.0)
        return theta + radius * t**2 * g / tf.norm(t * g)

    return move


def whole(theta: tf.Tensor, rows: np.ndarray) -> tf.Tensor:
    """The gradient of an update batch."""
    return sum(share * gradient(theta, part) for share, part in micro_batches(rows))


def by_hand(
    move: Callable[..., tf.Tensor], radius: float, *, each: bool, weight: Callable[..., float]
) -> Callable[[tf.Tensor, np.ndarray, float, int], Step]:
    """A step of the family; `each`: of each micro-batch by itself; `weight` of (epoch, |g|)."""

    def mixed(of: Callable[[tf.Tensor], tf.Tensor], theta: tf.Tensor, epoch: int) -> tf.Tensor:
        g = of(theta)
        a = weight(epoch, float(tf.norm(g)))
        return (1 - a) * g + a * of(move(theta, g, radius))

    def step(theta: tf.Tensor, rows: np.ndarray, rate: float, epoch: int) -> Step:
        if each:
            parts = [
                share * mixed(lambda t, part=part: gradient(t, part), theta, epoch)
                for share, part in micro_batches(rows)
            ]
            update = sum(parts)
        else:
            update = mixed(lambda t: whole(t, rows), theta, epoch)
        loss, statistics = measured(theta, rows)
        return Step(theta - rate * update, loss, 0.0, statistics)

    return step


def constant(a: float) -> Callable[..., float]:
    return lambda epoch, norm: a


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sam": (
        {"perturbation": "sam"},
        {"radius": 0.05, "each": False, "weight": constant(1.0)},
    ),
    "micro-batch": (
        {"perturbation": "micro_batch_sam", "perturbation_radius": 0.3},
        {"radius": 0.3, "each": True, "weight": constant(1.0)},
    ),
    "adaptive": (
        {"perturbation": "asam"},
        {"radius": 0.5, "each": False, "weight": constant(1.0), "eta": 0.01},
    ),
    "adaptive of micro-batches": (
        {"perturbation": "asam", "perturbation_options": "of=micro_batch,eta=0.2"},
        {"radius": 0.5, "each": True, "weight": constant(1.0), "eta": 0.2},
    ),
    "gradient norm": (
        {"perturbation": "gradient_norm"},
        {"radius": 0.05, "each": False, "weight": constant(0.8)},
    ),
    "warmed up": (
        {"perturbation": "gradient_norm", "perturbation_options": "weight=0.5,warmup_epochs=2"},
        {"radius": 0.05, "each": False, "weight": lambda epoch, norm: 0.5 * min(1.0, epoch / 2)},
    ),
    "in proportion, of micro-batches": (
        {
            "perturbation": "gradient_norm",
            "perturbation_options": "weight=2.0,proportional=true,of=micro_batch",
        },
        {"radius": 0.05, "each": True, "weight": lambda epoch, norm: 2.0 * norm},
    ),
}


class PerturbationTest(Float64Case):
    @parameterized.named_parameters((name, name) for name in CASES)
    def test_every_step_is_that_of_the_loop_by_hand(self, name: str) -> None:
        settings, hand = CASES[name]
        hand = dict(hand)
        layer = keras.layers.BatchNormalization(momentum=STATISTICS_MOMENTUM)
        network = softplus_network(layer)
        move = adaptively(kernels_of(network), hand.pop("eta")) if "eta" in hand else perturbed
        expected, moving = train_by_hand(flat(network.trainable_variables), by_hand(move, **hand))
        found: list[tuple[tf.Tensor, dict[str, float]]] = []
        models: list[FullBatchModel] = []

        def record(batch: int, logs: dict[str, float]) -> None:
            found.append((flat(network.trainable_variables), models[0].last_step))

        rates = GradientDescent(FallingRate(), momentum=0.0)
        models.append(model_of(network, rates, micro_batch_size=MICRO_BATCH, seed=SEED, **settings))
        callbacks = [keras.callbacks.LambdaCallback(on_train_batch_end=record)]
        models[0].fit(
            X, Y, batch_size=UPDATE_BATCH, shuffle=True, epochs=EPOCHS, verbose=0, callbacks=callbacks
        )
        self.assertLen(found, 9)
        for (theta, figures), step in zip(found, expected, strict=True):
            self.assertAllClose(theta, step.theta, rtol=1e-11, atol=1e-13)
            self.assertAllClose(figures["loss"], step.loss, rtol=1e-11, atol=0)
            self.assertEqual(figures["gradient_evaluations"], 2)
        # Statistics are those at the weights, not at the perturbed ones.
        self.assertAllClose([layer.moving_mean, layer.moving_variance], moving, rtol=1e-11, atol=0)

    def test_streamed_samples_lead_the_same_way(self) -> None:
        ends = []
        for on_device, chunk in ((True, None), (True, 1), (False, 1)):
            network = softplus_network(keras.layers.BatchNormalization())
            batches = UpdateBatches(
                X,
                Y,
                batch_size=UPDATE_BATCH,
                shuffle=True,
                seed=SEED,
                on_device=on_device,
                chunk_micro_batches=chunk,
            )
            model = model_of(network, micro_batch_size=MICRO_BATCH, perturbation="sam")
            model.fit(batches, epochs=2, verbose=0)
            ends.append(flat(network.weights))
        self.assertAllEqual(ends[0], ends[1])
        self.assertAllEqual(ends[0], ends[2])

    def test_forward_differences_are_a_member(self) -> None:
        # (1 - a_b) g_b + a_b g_b(w + eps g_b / |g_b|) with a_b = lr s |g_b| / (4 eps), at a constant rate.
        rate, strength, epsilon, ends = 0.4, 0.5, 0.01, []
        weight = rate * strength / (4 * epsilon)
        for settings in (
            {"penalty": "forward_differences", "penalty_strength": strength, "penalty_epsilon": epsilon},
            {
                "perturbation": "gradient_norm",
                "perturbation_radius": epsilon,
                "perturbation_options": f"of=micro_batch,proportional=true,weight={weight!r}",
            },
        ):
            network = softplus_network(keras.layers.BatchNormalization())
            start = flat(network.trainable_variables)
            model = model_of(network, GradientDescent(rate, momentum=0.0), micro_batch_size=5, **settings)
            model.fit(X, Y, epochs=3, verbose=0)
            ends.append(flat(network.trainable_variables) - start)
        self.assertGreater(float(tf.norm(ends[0])), 0.1)
        self.assertAllClose(*ends, rtol=1e-12, atol=1e-12 * float(tf.norm(ends[0])))

    def test_without_a_gradient_weights_stay(self) -> None:
        inputs = keras.Input((2,))
        network = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="zeros")(inputs))
        model = FullBatchModel(network, perturbation="sam", micro_batch_size=4)
        model.compile(optimizer=GradientDescent(0.1), loss="mse")
        model.fit(np.ones((8, 2)), np.zeros((8, 1)), epochs=2, verbose=0)
        self.assertAllEqual(flat(network.trainable_variables), np.zeros(3))

    def test_refused(self) -> None:
        for settings, words in (
            ({"perturbation": "sharp"}, "accepted"),
            ({"perturbation": "sam", "perturbation_radius": 0.0}, "perturbation_radius=0.0"),
            ({"perturbation_radius": 0.1}, "without perturbation"),
            ({"perturbation_options": "weight=1"}, "without perturbation"),
            ({"perturbation": "sam", "perturbation_options": "weight=1"}, "sam has no option 'weight'"),
            ({"perturbation": "gradient_norm", "perturbation_options": "of=half"}, "of"),
            (
                {"perturbation": "sam", "penalty": "nested_tape", "penalty_strength": 0.5},
                "second passes of one family",
            ),
        ):
            with self.subTest(**settings), self.assertRaisesRegex(UserError, words):
                FullBatchModel(softplus_network(), **settings)


if __name__ == "__main__":
    tf.test.main()
