"""What BUILD.md shows of adding a component works as it stands there, the registry's line included."""

import re
import unittest
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.config.cli_flags import help_text, parse
from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.data.sources.registry import SOURCES
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.methods.registry import OPTIMIZERS
from tf_fullbatch.training.full_batch_model import FullBatchModel

TEXT = (Path(__file__).parents[2] / "BUILD.md").read_text(encoding="utf-8")


def shown(name: str) -> type:
    """The class that BUILD.md shows for the component of a name; its registry's line is there too."""
    (class_name,) = re.findall(rf'`"{name}": (\w+),`', TEXT)
    (code,) = re.findall(rf'^```python\n("""--\w+={name}:.*?)^```', TEXT, re.MULTILINE | re.DOTALL)
    namespace: dict[str, type] = {"__name__": f"shown_{name}"}  # type: ignore[dict-item]
    exec(compile(code, "BUILD.md", "exec"), namespace)
    return namespace[class_name]


class HowToAddTest(unittest.TestCase):
    def test_optimizer(self) -> None:
        with mock.patch.dict(OPTIMIZERS, {"lion": shown("lion")}):
            self.assertIn("--lion_beta=(default 0.99)", help_text())
            config = parse(["main", "--weight_decay=0"])
            assert config is not None
            self.assertEqual(0.99, config.values()["lion_beta"])
            with self.assertRaisesRegex(
                UserError, "--lion_beta=0.5 has no effect with --optimizer=gradient_descent"
            ):
                parse(["main", "--lion_beta=0.5"])
            optimizer = OPTIMIZERS["lion"](lion_beta=0.5, weight_decay=0.25).build(0.1)
        self.assertIsInstance(optimizer, keras.optimizers.Lion)
        self.assertEqual((0.5, 0.25), (optimizer.beta_2, optimizer.weight_decay))

    def test_model(self) -> None:
        features = shown("small_cnn")(activation="silu").features("small_cnn", keras.Input((8, 8, 3)), 0)
        self.assertEqual((None, 16), features.shape)

    def test_source(self) -> None:
        with mock.patch.dict(SOURCES, {"stripes": shown("stripes")}):
            config = DataConfig.of(dataset="stripes", stripes_noise=3)
            dataset = config.load()
            self.assertEqual(config.count_training_samples(), len(dataset.train))
        self.assertEqual((8, 8, 1), dataset.train.inputs.shape[1:])
        self.assertLessEqual(dataset.train.inputs.max(), 158)
        self.assertNotEqual(dataset.train.inputs[0].tolist(), dataset.train.inputs[1].tolist())

    def test_augmentation(self) -> None:
        augment = shown("invert")().build(seed=3)
        images = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), np.uint8)
        found = augment(tf.constant(images), tf.range(50, dtype=tf.int64), tf.constant(0, tf.int64)).numpy()
        inverted = (found == 255 - images).all((1, 2, 3))
        self.assertTrue(((found == images).all((1, 2, 3)) | inverted).all())
        self.assertTrue(10 < inverted.sum() < 40)

    def test_measure(self) -> None:
        (code,) = re.findall(r'^```python\n("""A measure: .*?)^```', TEXT, re.MULTILINE | re.DOTALL)
        (asked,) = re.findall(r"`model\.objective\(x, y\)\.(measure\([^`]*\)\.sampled)`", TEXT)
        namespace: dict = {"__name__": "shown_measure"}
        exec(compile(code, "BUILD.md", "exec"), namespace)
        inputs = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
        network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model = FullBatchModel(network, micro_batch_size=2)
        model.compile(optimizer="sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        namespace |= {"objective": model.objective(inputs, np.arange(7) % 3)}
        found = eval(f"objective.{asked}", namespace)
        self.assertEqual(namespace["objective"].evaluations, 1 / 3)
        np.testing.assert_allclose(found, np.var(network(inputs), axis=1).mean(), rtol=1e-6)


if __name__ == "__main__":
    unittest.main()
