"""The optimizers there are."""

from tf_fullbatch.optim.adamw import AdamWSettings
from tf_fullbatch.optim.base import OptimizerSettings
from tf_fullbatch.optim.central_flow import CentralFlowSettings
from tf_fullbatch.optim.gradient_descent import GradientDescentSettings
from tf_fullbatch.optim.gradient_flow import GradientFlowSettings

OPTIMIZERS: dict[str, type[OptimizerSettings]] = {
    "gradient_descent": GradientDescentSettings,
    "adamw": AdamWSettings,
    "gradient_flow": GradientFlowSettings,
    "central_flow": CentralFlowSettings,
}
