"""Every family of networks in half precision: gradients as near to float32's as rounding lets them be, and steps."""

import math
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.core.problems import Problem, micro_batches
from tests.models import families
from tests.models.families import TINY, flat, plain, samples
from tests.training.small_models import model_of
from tf_fullbatch.core.micro_batch import StepScalars
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.run.devices import precision

SAMPLES, RATE = 8, 0.125
ROUNDOFF = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
"""Largest relative error of a rounding to 8 and to 11 bits."""

SETTINGS: dict[str, dict[str, Any]] = {"vgg11": {"width": 2, "activation": "tanh", "norm": "none"}}
"""In place of a network's own. Eight BatchNorms with no shortcut around any amplify small changes (Yang et al. 2019,
arXiv 1902.08129): errors of 2^-8 in the weights alone change vgg11's gradient by 3 to 30 per cent in float64 too."""

SHORT = ("resnet_tiny", "text_mlp")
"""Networks whose compiled steps are made in every run of the tests: with BatchNorm, and with an embedding."""

_ONLY_MOVES = (
    keras.layers.InputLayer,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Concatenate,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping1D,
    keras.layers.MaxPooling2D,
    keras.layers.GlobalMaxPooling1D,
)


class Case(NamedTuple):
    """A network in float32 and its samples.

    Attributes:
        reference: The network.
        inputs: Of one batch.
        labels: Their classes.
        point: Its loss and gradient there.
    """

    reference: keras.Model
    inputs: np.ndarray
    labels: np.ndarray
    point: families.Point


def case_of(name: str) -> Case:
    network, (inputs, labels) = in_policy("float32", name), samples(name, SAMPLES)
    return Case(network, inputs, labels, plain(network, inputs, labels))


def in_policy(policy: str, name: str) -> keras.Model:
    """The network at its initial weights, which are the same in every policy."""
    with precision(policy):
        return families.built(name, moved=False, **SETTINGS.get(name, {}))


def bound(network: keras.Model, dtype: str) -> float:
    """What the relative error of a gradient may be where no layer amplifies errors.

    Each of L operations rounds its weights and its outputs, and backwards their gradients, beside the inputs once:
    4 L independent relative errors of mean square u^2 / 3 at most. Two standard deviations of their sum are
    `2 u sqrt(4 L / 3)`.
    """
    rounding = [
        operation
        for operation in network.operations
        if not isinstance(operation, _ONLY_MOVES) and operation.output.dtype == dtype
    ]
    return 2 * ROUNDOFF[dtype] * math.sqrt(4 * (1 + len(rounding)) / 3)


class FamilyPrecisionTest(tf.test.TestCase, parameterized.TestCase):
    def assert_near(self, found: np.ndarray, case: Case, network: keras.Model, dtype: str) -> None:
        """Within the bound, and not float32's: half precision is computed in."""
        error = np.linalg.norm(found - case.point.gradient) / np.linalg.norm(case.point.gradient)
        self.assertLess(error, bound(network, dtype))
        self.assertGreater(error, ROUNDOFF[dtype] / 10)

    @parameterized.parameters(*TINY)
    def test_gradients(self, name: str) -> None:
        """Near float32's, and a way down: by half of what the slope says at least, over a short step."""
        case = case_of(name)
        spec = tf.TensorSpec([None, *case.inputs.shape[1:]], case.inputs.dtype)
        (batch,) = micro_batches(case.inputs, case.labels, SAMPLES)
        for dtype in ROUNDOFF:
            with self.subTest(dtype):
                network = in_policy(f"mixed_{dtype}", name)
                self.assertEqual({variable.dtype for variable in network.variables}, {"float32"})
                found = Problem(network, inputs=spec).gradient(batch, _scalars())
                self.assertEqual({g.dtype for g in [*found.gradient, found.outputs]}, {tf.float32})
                gradient = flat(found.gradient)
                self.assert_near(gradient, case, network, dtype)
                self.assertAllClose(found.loss, case.point.loss, rtol=bound(network, dtype))
                length = 1e-4 / np.linalg.norm(gradient)
                after = plain(case.reference, case.inputs, case.labels, -length * gradient).loss
                self.assertLess(after, case.point.loss - length / 2 * gradient @ gradient)

    def assert_steps(self, name: str) -> None:
        """Three steps of the compiled training: the first is along that gradient, and the loss goes down."""
        case = case_of(name)
        rate = RATE / max(1.0, case.point.gradient @ case.point.gradient)
        with precision("mixed_bfloat16"):
            network = in_policy("mixed_bfloat16", name)
            model = model_of(network, GradientDescent(rate, momentum=0.0), micro_batch_size=SAMPLES)
            before = flat(network.trainable_variables)
            first = model.fit(case.inputs, case.labels, verbose=0).history
            gradient = (before - flat(network.trainable_variables)) / rate
            more = model.fit(case.inputs, case.labels, initial_epoch=1, epochs=3, verbose=0).history
        losses = [*first["loss"], *more["loss"]]
        self.assert_near(gradient, case, network, "bfloat16")
        self.assertAllEqual(np.isfinite(losses), [True] * 3)
        self.assertLess(losses[1], losses[0])
        self.assertLess(losses[2], losses[1])
        kept = {v.dtype for v in [*network.variables, *model.optimizer.variables] if "int" not in v.dtype}
        self.assertEqual(kept, {"float32"})

    @parameterized.parameters(*SHORT)
    def test_steps(self, name: str) -> None:
        self.assert_steps(name)

    @parameterized.parameters(*(name for name in TINY if name not in SHORT))
    @pytest.mark.slow
    def test_steps_of_others(self, name: str) -> None:
        self.assert_steps(name)


def _scalars() -> StepScalars:
    rate, none = tf.constant(RATE), tf.constant(0.0)
    return StepScalars(tf.constant(0, tf.int64), tf.constant(0, tf.int64), rate, none, none)


if __name__ == "__main__":
    tf.test.main()
