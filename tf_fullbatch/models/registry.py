"""The networks there are."""

from tf_fullbatch.models.base import NetworkSettings
from tf_fullbatch.models.linear import Linear
from tf_fullbatch.models.mlp import Mlp
from tf_fullbatch.models.resnet import RESNETS, ResNet

MODELS: dict[str, type[NetworkSettings]] = {
    **dict.fromkeys(RESNETS, ResNet),
    "mlp": Mlp,
    "linear": Linear,
}
