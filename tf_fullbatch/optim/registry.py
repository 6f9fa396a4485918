"""The optimizers there are."""

from tf_fullbatch.optim.adamw import AdamWSettings
from tf_fullbatch.optim.base import OptimizerSettings
from tf_fullbatch.optim.gradient_descent import GradientDescentSettings

OPTIMIZERS: dict[str, type[OptimizerSettings]] = {
    "gradient_descent": GradientDescentSettings,
    "adamw": AdamWSettings,
}
