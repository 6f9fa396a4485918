"""Networks without residual stages are what their papers' equations say, in float64 against NumPy."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.models.networks import built, float64, moved_off, pixels, weights_of
from tests.models.numpy_layers import batch_norm, convolution, dense, gelu, layer_norm, pooled, softmax

X = pixels() / 255


class EquationsTest(tf.test.TestCase, parameterized.TestCase):
    def network(self, name: str, **settings):
        with float64():
            return moved_off(built(name, **settings))

    def expect(self, network, features: np.ndarray) -> None:
        logits = dense(features, *weights_of(network, "logits"))
        self.assertAllClose(network(pixels()), logits, rtol=1e-10, atol=1e-10)

    @parameterized.parameters(4, 2)
    def test_vit(self, patch: int):
        """Dosovitskiy et al. 2021, equations 1 to 4, and 5 to 8 of its appendix A."""
        width, heads = 6, 2
        network = self.network("vit_micro", width=width, patch_size=patch)

        def weights(layer: str) -> list[np.ndarray]:
            return weights_of(network, layer)

        kernel, bias = weights("embed_patches")
        patches = (convolution(X, kernel, patch) + bias).reshape(len(X), -1, width)
        first = np.broadcast_to(weights("embed_class_token")[0], (len(X), 1, width))
        z = np.concatenate([first, patches], axis=1)
        z = z + weights("embed_positions")[0].reshape(-1, width)
        for block in ("block0", "block1"):
            normed = layer_norm(z, *weights(f"{block}_norm1"))
            query, key, value = np.split(dense(normed, *weights(f"{block}_attention_qkv")), 3, axis=-1)
            outputs = []
            for head in range(heads):
                q, k, v = (array[..., head * 3 : (head + 1) * 3] for array in (query, key, value))
                outputs.append(softmax(q @ k.transpose(0, 2, 1) / np.sqrt(3)) @ v)
            z = z + dense(np.concatenate(outputs, axis=-1), *weights(f"{block}_attention_projection"))
            hidden = gelu(dense(layer_norm(z, *weights(f"{block}_norm2")), *weights(f"{block}_mlp_hidden")))
            z = z + dense(hidden, *weights(f"{block}_mlp_projection"))
        self.expect(network, layer_norm(z[:, 0], *weights("norm")))

    @parameterized.parameters(1, 2)
    def test_convnext(self, patch: int):
        """Liu et al. 2022, figure 4 and section 2.2 (patches and downsampling as layers of their own)."""
        network = self.network("convnext_micro", width=4, patch_size=patch)

        def weights(layer: str) -> list[np.ndarray]:
            return weights_of(network, layer)

        def conv(x: np.ndarray, layer: str, stride: int) -> np.ndarray:
            kernel, bias = weights(layer)
            return convolution(x, kernel, stride) + bias

        def block(x: np.ndarray, prefix: str) -> np.ndarray:
            kernel, bias = weights(f"{prefix}_depthwise")
            each = [convolution(x[..., c : c + 1], kernel[:, :, c : c + 1], 1, 3) for c in range(x.shape[-1])]
            y = layer_norm(np.concatenate(each, axis=-1) + bias, *weights(f"{prefix}_norm"))
            y = dense(gelu(dense(y, *weights(f"{prefix}_hidden"))), *weights(f"{prefix}_projection"))
            return x + weights(f"{prefix}_scale")[0] * y

        x = layer_norm(conv(X, "stem_conv", patch), *weights("stem_norm"))
        x = block(x, "stage1_block0")
        x = conv(layer_norm(x, *weights("stage2_downsample_norm")), "stage2_downsample_conv", 2)
        x = block(x, "stage2_block0")
        self.expect(network, layer_norm(x.mean(axis=(1, 2)), *weights("norm")))

    @parameterized.parameters(
        ("max", "relu", np.max), ("average", "tanh", np.mean), ("none", "softplus", None)
    )
    def test_cnn(self, pooling: str, activation: str, reduce):
        """Cohen et al. 2021: convolution, activation, pooling, as often as there are layers; then linear."""
        function = {
            "relu": lambda x: np.maximum(x, 0),
            "tanh": np.tanh,
            "softplus": lambda x: np.log1p(np.exp(x)),
        }
        network = self.network("cnn", width=4, conv_layers=3, pooling=pooling, activation=activation)
        x = X
        for i in (1, 2, 3):
            kernel, bias = weights_of(network, f"conv{i}")
            x = function[activation](convolution(x, kernel, 1, 1) + bias)
            x = x if reduce is None else pooled(x, reduce)
        self.expect(network, x.reshape(len(x), -1))

    @parameterized.parameters((True, "relu"), (False, "tanh"))
    def test_vgg(self, conv_bias: bool, activation: str):
        """Simonyan & Zisserman 2015, table 1, A, with a norm behind each convolution; 8 pixels have three poolings."""
        function = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}[activation]
        network = self.network("vgg11", width=2, conv_bias=conv_bias, activation=activation)
        x = X
        for stage, convolutions in enumerate((1, 1, 2, 2, 2), 1):
            for i in range(1, convolutions + 1):
                kernel, *bias = weights_of(network, f"stage{stage}_conv{i}")
                self.assertLen(bias, int(conv_bias))
                x = convolution(x, kernel, 1, 1) + sum(bias)
                x = function(batch_norm(x, *weights_of(network, f"stage{stage}_norm{i}")))
            x = pooled(x, np.max) if stage <= 3 else x
        self.expect(network, x.mean(axis=(1, 2)))

    def test_vgg_with_hidden_layers(self):
        network = self.network("vgg11", width=1, norm="none", classifier="hidden")
        maps = keras.Model(network.input, network.get_layer("flatten").output)(pixels())
        self.assertEqual(maps.shape, (4, 8))
        x = np.asarray(maps)
        for layer in ("hidden", "hidden_2"):
            x = np.maximum(dense(x, *weights_of(network, layer)), 0)
        self.expect(network, x)

    def test_densenet(self):
        """Huang et al. 2017, section 3: `x_l = H([x_0, ..., x_(l-1)])` with bottlenecks and compression."""
        network = self.network("densenet_tiny", growth_rate=3)

        def weights(layer: str) -> list[np.ndarray]:
            return weights_of(network, layer)

        def composed(x: np.ndarray, prefix: str, index: str, padding: int) -> np.ndarray:
            active = np.maximum(batch_norm(x, *weights(f"{prefix}_norm{index}")), 0)
            return convolution(active, *weights(f"{prefix}_conv{index}"), 1, padding)

        x = convolution(X, *weights("stem_conv"), 1, 1)
        self.assertEqual(x.shape[-1], 6)
        for stage in (1, 2):
            features = [x]
            for layer in (0, 1):
                prefix = f"stage{stage}_block{layer}"
                inner = composed(np.concatenate(features, axis=-1), prefix, "1", 0)
                self.assertEqual(inner.shape[-1], 12)
                features.append(composed(inner, prefix, "2", 1))
            x = np.concatenate(features, axis=-1)
            x = pooled(composed(x, "transition1", "", 0), np.mean) if stage == 1 else x
        x = np.maximum(batch_norm(x, *weights("last_norm")), 0)
        self.expect(network, x.mean(axis=(1, 2)))


if __name__ == "__main__":
    tf.test.main()
