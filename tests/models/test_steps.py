"""Steps and curvature of every family of residual networks, in float64: exact, and of whatever micro-batches."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.models.test_conformance import NUM_CLASSES, build, images
from tests.training.small_models import CROSS_ENTROPY, model_of
from tf_fullbatch.training.objective_of import objective_of

SMOOTH = {"width": 4, "activation": "softplus"}
FAMILIES = ("resnet_tiny", "preresnet_tiny", "wrn10_1", "pyramidnet_tiny")
STANDARDISED = ("resnet_tiny", {"norm": "group", "weight_standardisation": True})
GHOST = ("preresnet_tiny", {"norm": "ghost", "ghost_batch_size": 2})
NORMALISER_FREE = ("nf_resnet_tiny", {"zero_init_residual": True})
LABELS = np.arange(12) % NUM_CLASSES


def assert_products_are_exact(case: Float64Case, name: str, choices: dict) -> None:
    """Products with the Hessian are differences of gradients, over two micro-batches of three and two samples."""
    network = build(name, {**SMOOTH, **choices})
    objective = objective_of(
        network, images(5), LABELS[:5], loss=CROSS_ENTROPY, micro_batch_size=3, jit_compile="off"
    )
    random = np.random.default_rng(0)
    theta = [v.value for v in network.trainable_variables]
    direction = [tf.constant(random.normal(size=w.shape)) for w in theta]
    step = 1e-5
    after, before = (
        objective.value_and_gradient([w + s * d for w, d in zip(theta, direction, strict=True)])[1]
        for s in (step, -step)
    )
    product = objective.hvp(theta, direction)
    largest = max(np.abs(p).max() for p in product)
    case.assertGreater(largest, 1e-3)
    for found, high, low in zip(product, after, before, strict=True):
        case.assertAllClose(found, (high - low) / (2 * step), rtol=1e-5, atol=1e-7 * largest)


def assert_a_step_is_the_same_of_any_micro_batches(case: Float64Case, name: str, choices: dict) -> None:
    """Two steps over twelve samples in micro-batches of four, and of six."""
    weights, losses = [], []
    for size in (4, 6):
        network = build(name, {**SMOOTH, **choices})
        before = [v.numpy() for v in network.trainable_variables]
        model = model_of(network, micro_batch_size=size, jit_compile="off", augmentation="none")
        losses.append(model.fit(images(12), LABELS, epochs=2, verbose=0).history["loss"])
        weights.append([v.numpy() for v in network.trainable_variables])
    case.assertAllClose(losses[0], losses[1], rtol=1e-12, atol=0)
    for variable, one, two, old in zip(network.trainable_variables, *weights, before, strict=True):
        case.assertAllClose(one, two, rtol=1e-9, atol=1e-12, msg=variable.path)
        case.assertNotAllEqual(one, old, variable.path)


class StepTest(Float64Case):
    @parameterized.parameters(GHOST, NORMALISER_FREE)
    def test_a_step_is_the_same_of_any_micro_batches(self, name: str, choices: dict) -> None:
        assert_a_step_is_the_same_of_any_micro_batches(self, name, choices)

    def test_products_with_the_hessian_are_differences_of_gradients(self) -> None:
        assert_products_are_exact(self, *NORMALISER_FREE)


@pytest.mark.slow
class EveryFamilyTest(Float64Case):
    @parameterized.parameters(*((name, {"norm": "group"}) for name in FAMILIES), STANDARDISED)
    def test_a_step_is_the_same_of_any_micro_batches(self, name: str, choices: dict) -> None:
        assert_a_step_is_the_same_of_any_micro_batches(self, name, choices)

    @parameterized.parameters(*((name, {}) for name in FAMILIES), GHOST, STANDARDISED)
    def test_products_with_the_hessian_are_differences_of_gradients(self, name: str, choices: dict) -> None:
        assert_products_are_exact(self, name, choices)

    def test_ghost_statistics_are_the_same_of_any_chunks_and_replicas(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "tests.models.two_replicas"],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        (expected,), chunked, replicas = json.loads(done.stdout.splitlines()[-1])
        self.assertLen(replicas, 2)
        for copy in (*chunked, *replicas):
            self.assertAllClose(copy, expected, rtol=1e-10, atol=1e-12)


if __name__ == "__main__":
    tf.test.main()
