"""--model=linear: the head alone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.models.base import NetworkSettings

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class Linear(NetworkSettings):
    """Multinomial regression on the pixels."""

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """The pixels themselves, `[batch, height * width * channels]`."""
        import keras

        return keras.layers.Flatten(name="flatten")(x)
