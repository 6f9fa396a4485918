"""--model=mlp: one hidden layer, without convolution or normalisation: for tests and first steps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.models.base import NetworkSettings, activation, width

if TYPE_CHECKING:
    import keras

_WIDTH = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Mlp(NetworkSettings):
    """A multilayer perceptron of one hidden layer."""

    width: int | None = width()
    activation: str = activation()

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """`activation(W x + b)`, `[batch, width]` with 32 units unless a width is given.

        W is normal with variance `2 / fan_in` (He et al. 2015, eq. 10), b is zero.
        """
        import keras

        from tf_fullbatch.models.layers import layer_seed

        x = keras.layers.Flatten(name="flatten")(x)
        kernel = keras.initializers.VarianceScaling(
            2.0, "fan_in", "untruncated_normal", seed=layer_seed(seed, "hidden")
        )
        x = keras.layers.Dense(self.width or _WIDTH, kernel_initializer=kernel, name="hidden")(x)
        return keras.layers.Activation(self.activation, name=f"hidden_{self.activation}")(x)
