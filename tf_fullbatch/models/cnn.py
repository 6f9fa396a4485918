"""--model=cnn: small convolutional networks without normalisation, for studies of sharpness and for tests."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.models.base import NetworkSettings, Published, activation, require_sides, width
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import keras

POOLINGS = ("max", "average", "none")

_WIDTH = 32

_PUBLISHED = {
    "cnn": (Published(30_634, 32, 10, "by the formula, of the authors' code (locuslab/edge-of-stability)"),)
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cnn(NetworkSettings):
    """`conv_layers` times a 3x3 convolution of `width` channels, activation, pooling (Cohen et al. 2021)."""

    published = _PUBLISHED

    width: int | None = width()
    conv_layers: int = setting(2, "Convolutions of cnn, each of --width channels.", minimum=1, maximum=1000)
    pooling: str = setting(
        "max",
        "What follows each convolution and activation of cnn: maxima or means of 2x2 pixels, or nothing.",
        choices=POOLINGS,
    )
    activation: str = activation()

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """All pixels and channels of the last layer, `[batch, pixels * width]`; 32 channels unless a width is given.

        Kernels and biases are uniform in `+-1 / sqrt(fan_in)`, PyTorch's default, as in the authors' code.

        Raises:
            ValueError: No pixel is left after the poolings.
        """
        import keras

        from tf_fullbatch.models.layers import layer_seed

        pools = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
        require_sides(
            x, 1 if self.pooling == "none" else 2**self.conv_layers, ", fewer --conv_layers or --pooling=none"
        )
        for i in range(1, self.conv_layers + 1):
            bound = (9 * x.shape[-1]) ** -0.5
            kernel, bias = (
                keras.initializers.RandomUniform(-bound, bound, seed=layer_seed(seed, f"conv{i}/{variable}"))
                for variable in ("kernel", "bias")
            )
            x = keras.layers.Conv2D(
                self.width or _WIDTH,
                3,
                padding="same",
                kernel_initializer=kernel,
                bias_initializer=bias,
                name=f"conv{i}",
            )(x)
            x = keras.layers.Activation(self.activation, name=f"conv{i}_{self.activation}")(x)
            if self.pooling != "none":
                x = pools[self.pooling](2, name=f"pool{i}")(x)
        return keras.layers.Flatten(name="flatten")(x)
