"""The loss of several outputs, weighted samples and masked places."""

from typing import Any

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tf_fullbatch.core.training_loss import OutputLoss, TrainingLoss, mean_loss
from tf_fullbatch.errors import UserError

GENERATOR = np.random.default_rng(3)
LOSSES = GENERATOR.uniform(1, 2, (3, 4))
WEIGHTS = GENERATOR.uniform(0.5, 2, 3)
MASK = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], bool)


def first(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    del targets
    return 1 * outputs


class MeanLossTest(Float64Case, parameterized.TestCase):
    @parameterized.product(masked=(False, True), by_weights=(False, True), axes=(1, 2))
    def test_weighted_sum_over_what_counts(self, masked: bool, by_weights: bool, axes: int) -> None:
        weights = WEIGHTS if axes == 1 else np.outer(WEIGHTS, [1.0, 2.0, 3.0, 4.0])
        wide = np.broadcast_to(weights if axes == 2 else weights[:, None], LOSSES.shape)
        counts = MASK if masked else np.ones_like(MASK)
        mask = tf.constant(MASK) if masked else None
        mean, weight = mean_loss(
            tf.constant(LOSSES), mask, tf.constant(LOSSES), tf.constant(weights), by_weights=by_weights
        )
        divisor = (wide * counts).sum() if by_weights else counts.sum()
        self.assertAllClose(mean, (wide * counts * LOSSES).sum() / divisor, rtol=1e-14, atol=0)
        # Without a mask samples count, each with as many places.
        self.assertAllClose(weight, divisor if masked or by_weights else 3, rtol=1e-14, atol=0)

    def test_one_number_cannot_be_weighted(self) -> None:
        with self.assertRaisesRegex(UserError, "sample_weight weights samples, but the loss is one number"):
            mean_loss(tf.constant(1.0), None, tf.zeros([3, 1]), tf.constant(WEIGHTS))


class TrainingLossTest(Float64Case, parameterized.TestCase):
    LOSS = TrainingLoss({"p": OutputLoss(first, 0.5), "q": None, "r": OutputLoss(first)})

    def outputs(self) -> list[tf.Tensor]:
        return [tf.constant(GENERATOR.uniform(size=(3, 2))) for _ in range(3)]

    @parameterized.parameters((list,), (tuple,), (lambda parts: dict(zip("pqr", parts, strict=True)),))
    def test_sums_up_what_has_a_loss(self, structure: Any) -> None:
        p, q, r = self.outputs()
        found = self.LOSS(structure([p, q, r]), structure([p, q, r]))
        self.assertAllClose(found.mean, 0.5 * np.mean(p) + np.mean(r), rtol=1e-14, atol=0)
        self.assertAllClose(found.of_outputs, [np.mean(p), np.mean(r)], rtol=1e-14, atol=0)
        self.assertEqual((float(found.weight), self.LOSS.names), (3, ["p", "r"]))

    def test_noise_and_weights_of_each(self) -> None:
        p, q, r = self.outputs()
        noise = tf.constant(GENERATOR.normal(size=3))
        weights = {"p": tf.constant(WEIGHTS), "q": tf.constant(WEIGHTS), "r": tf.constant(WEIGHTS[::-1])}
        found = self.LOSS([p, q, r], [p, q, r], weights, noise)
        of_p, of_r = WEIGHTS[:, None] * p.numpy(), WEIGHTS[::-1, None] * r.numpy()
        factors = noise.numpy()[:, None]
        self.assertAllClose(found.mean, 0.5 * of_p.mean() + of_r.mean(), rtol=1e-13, atol=0)
        self.assertAllClose(
            found.noisy, 0.5 * (factors * of_p).mean() + (factors * of_r).mean(), rtol=1e-13, atol=0
        )

    def test_targets_of_outputs_without_a_loss_may_be_left_out(self) -> None:
        p, q, r = self.outputs()
        expected = self.LOSS([p, q, r], [p, q, r]).mean
        for targets in ([p, r], {"p": p, "r": r}):
            self.assertAllEqual(self.LOSS(targets, [p, q, r]).mean, expected)

    @parameterized.parameters(
        ("one array", lambda p: p),
        (r"1 array\(s\)", lambda p: [p]),
        ("'p', 's'", lambda p: {"p": p, "s": p}),
        ("nothing for the output 'r'", lambda p: {"p": p}),
    )
    def test_structures_that_do_not_fit(self, words: str, targets: Any) -> None:
        outputs = self.outputs()
        with self.assertRaisesRegex(UserError, words):
            self.LOSS(targets(outputs[0]), outputs)

    def test_denominators_that_differ(self) -> None:
        p, _, r = self.outputs()
        mixed = TrainingLoss({"p": OutputLoss(first, by_weights=True), "r": OutputLoss(first)})
        mixed([p, r], [p, r])  # without weights both count samples
        with self.assertRaisesRegex(UserError, "'p', 'r' count places in different ways"):
            mixed([p, r], [p, r], tf.constant(WEIGHTS))
        alike = TrainingLoss({"p": OutputLoss(first), "r": OutputLoss(first)})
        mask = tf.constant([True, False, True])
        for tensor in (p, r):
            tensor._keras_mask = mask
        self.assertEqual(float(alike([p, r], [p, r]).weight), 4)


if __name__ == "__main__":
    tf.test.main()
