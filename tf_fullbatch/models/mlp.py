"""--model=mlp: hidden layers without convolution or normalisation, for studies of the landscape and for tests."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.models.base import NetworkSettings, activation, width
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import keras

_WIDTH = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Mlp(NetworkSettings):
    """A multilayer perceptron: `hidden_layers` times `activation(W x + b)`, each of `width` units."""

    width: int | None = width()
    hidden_layers: int = setting(1, "Hidden layers of mlp, each of --width units.", minimum=1, maximum=1000)
    activation: str = activation()

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """`[batch, width]`, 32 units unless a width is given.

        W is normal with variance `gain^2 / fan_in` and b is zero; gain^2 is 2 (He et al. 2015, eq. 10), and 1 for tanh
        (LeCun et al. 1998, section 4.6).
        """
        import keras

        from tf_fullbatch.models.layers import layer_seed

        x = keras.layers.Flatten(name="flatten")(x)
        gain = 1.0 if self.activation == "tanh" else math.sqrt(2.0)
        for i in range(self.hidden_layers):
            layer = "hidden" if i == 0 else f"hidden_{i + 1}"
            kernel = keras.initializers.VarianceScaling(
                gain**2, "fan_in", "untruncated_normal", seed=layer_seed(seed, layer)
            )
            x = keras.layers.Dense(self.width or _WIDTH, kernel_initializer=kernel, name=layer)(x)
            x = keras.layers.Activation(self.activation, name=f"{layer}_{self.activation}")(x)
        return x
