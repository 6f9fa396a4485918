"""Networks of tokens, beside the same sums by NumPy."""

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.models.build import build_network, network_of
from tf_fullbatch.models.settings import ModelConfig
from tf_fullbatch.models.text import TEXT_NETWORKS

VOCABULARY, LENGTH, WIDTH, CLASSES = 9, 6, 4, 3
TOKENS = np.array([[2, 8, 1, 0, 0, 0], [5, 5, 3, 2, 7, 4], [0, 0, 0, 0, 0, 0], [6, 0, 0, 0, 0, 0]], np.int32)


def build(name: str, seed: int = 0, **settings: Any) -> keras.Model:
    chosen = ModelConfig.component("model", name, width=WIDTH, **settings)
    return network_of(
        ModelConfig(model=name, chosen_model=chosen),
        input_shape=(LENGTH,),
        num_classes=CLASSES,
        pixel_mean=[0.0],
        pixel_std=[1.0],
        seed=seed,
        vocabulary=VOCABULARY,
    )


def by_hand(name: str, network: keras.Model) -> np.ndarray:
    weights = {v.path: v.numpy().astype(np.float64) for v in network.variables}
    embedded = weights["embedding/embeddings"][TOKENS]
    if name == "text_cnn":
        found = []
        for words in (3, 4, 5):
            kernel, bias = weights[f"conv_{words}/kernel"], weights[f"conv_{words}/bias"]
            padded = np.pad(embedded, ((0, 0), ((words - 1) // 2, words // 2), (0, 0)))
            places = [np.einsum("bwc,wcf->bf", padded[:, i : i + words], kernel) for i in range(LENGTH)]
            found.append(np.maximum(np.stack(places, axis=1) + bias, 0).max(axis=1))
        x = np.concatenate(found, axis=1)
    else:
        there = (TOKENS != 0)[..., np.newaxis]
        x = (embedded * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    if name == "text_mlp":
        x = np.maximum(x @ weights["hidden/kernel"] + weights["hidden/bias"], 0)
    return x @ weights["logits/kernel"] + weights["logits/bias"]


class TextNetworkTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(*TEXT_NETWORKS)
    def test_what_it_computes(self, name: str) -> None:
        network = build(name)
        self.assertAllClose(network(TOKENS), by_hand(name, network), rtol=1e-5, atol=1e-6)
        for one, same in zip(network.get_weights(), build(name).get_weights(), strict=True):
            self.assertAllEqual(one, same)
        self.assertNotAllEqual(network.get_weights()[0], build(name, seed=1).get_weights()[0])

    @parameterized.parameters(
        ("text_average", VOCABULARY * WIDTH + CLASSES * (WIDTH + 1)),
        ("text_mlp", VOCABULARY * WIDTH + WIDTH * (WIDTH + 1) + CLASSES * (WIDTH + 1)),
        (
            "text_cnn",
            VOCABULARY * WIDTH + sum(WIDTH * (k * WIDTH + 1) for k in (3, 4, 5)) + CLASSES * (3 * WIDTH + 1),
        ),
    )
    def test_parameters(self, name: str, expected: int) -> None:
        self.assertEqual(build(name).count_params(), expected)

    @parameterized.parameters(*TEXT_NETWORKS)
    def test_saved_and_loaded(self, name: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            network = build(name)
            network.save(path)
            self.assertAllEqual(keras.models.load_model(path, safe_mode=True)(TOKENS), network(TOKENS))

    def test_pixels_are_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "text_mlp takes tokens"):
            build_network("text_mlp", input_shape=(4, 4, 1), num_classes=2, pixel_mean=[0.5], pixel_std=[0.2])


if __name__ == "__main__":
    tf.test.main()
