"""--model=text_average, text_mlp and text_cnn: from tokens to features, by an embedding."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.models.base import NetworkSettings, activation, width

if TYPE_CHECKING:
    import keras

TEXT_NETWORKS = ("text_average", "text_mlp", "text_cnn")
_WIDTH = 32
_KERNELS = (3, 4, 5)
"""Words that a filter of text_cnn sees (Kim 2014, section 3.1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextNetwork(NetworkSettings):
    """An embedding of `width` numbers per token, and what makes a text's features of those of its words.

    text_average: their mean over the words, padding left out (fastText: Joulin et al. 2016, arXiv 1607.01759).
    text_mlp: of that, a hidden layer of `width` units. text_cnn: `width` filters over 3, 4 and 5 words each, and the
    largest value of each filter over the text (Kim 2014, arXiv 1408.5882), without dropout.
    """

    takes_tokens: ClassVar[bool] = True

    width: int | None = width()
    activation: str = activation()

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """Of tokens, not of pixels: see `token_features`."""
        raise ValueError(f"{name} takes tokens [samples, length], such as those of a text set")

    def token_features(
        self, name: str, tokens: "keras.KerasTensor", vocabulary: int, seed: int
    ) -> "keras.KerasTensor":
        """The network between tokens and the linear head.

        Args:
            name: One of `TEXT_NETWORKS`.
            tokens: int32 `[batch, length]`, 0 for padding.
            vocabulary: Tokens that there are.
            seed: Seed of the initial weights.

        Returns:
            `[batch, width]`, of text_cnn `[batch, 3 * width]`; 32 units unless a width is given.
        """
        import keras

        from tf_fullbatch.models.layers import layer_seed

        units = self.width or _WIDTH
        uniform = keras.initializers.RandomUniform(-0.05, 0.05, seed=layer_seed(seed, "embedding"))
        x = keras.layers.Embedding(vocabulary, units, embeddings_initializer=uniform, name="embedding")(
            tokens
        )
        if name == "text_cnn":
            return self._filters(x, units, seed)
        there = keras.ops.expand_dims(keras.ops.cast(keras.ops.not_equal(tokens, 0), x.dtype), -1)
        words = keras.ops.maximum(keras.ops.sum(there, axis=1), 1)  # a text without words has features of 0
        x = keras.ops.sum(x * there, axis=1) / words
        return self._hidden(x, units, seed) if name == "text_mlp" else x

    def _hidden(self, x: "keras.KerasTensor", units: int, seed: int) -> "keras.KerasTensor":
        import keras

        from tf_fullbatch.models.layers import layer_seed

        kernel = keras.initializers.HeNormal(seed=layer_seed(seed, "hidden"))
        x = keras.layers.Dense(units, kernel_initializer=kernel, name="hidden")(x)
        return keras.layers.Activation(self.activation, name=f"hidden_{self.activation}")(x)

    def _filters(self, x: "keras.KerasTensor", units: int, seed: int) -> "keras.KerasTensor":
        import keras

        from tf_fullbatch.models.layers import layer_seed

        found = []
        for words in _KERNELS:
            name = f"conv_{words}"
            kernel = keras.initializers.HeNormal(seed=layer_seed(seed, name))
            y = keras.layers.Conv1D(units, words, padding="same", kernel_initializer=kernel, name=name)(x)
            y = keras.layers.Activation(self.activation, name=f"{name}_{self.activation}")(y)
            found.append(keras.layers.GlobalMaxPooling1D(name=f"largest_{words}")(y))
        return keras.layers.Concatenate(name="features")(found)
