"""The networks there are."""

from tf_fullbatch.models.base import NetworkSettings
from tf_fullbatch.models.cnn import Cnn
from tf_fullbatch.models.convnext import CONVNEXTS, ConvNeXt
from tf_fullbatch.models.densenet import DENSENETS, DenseNet
from tf_fullbatch.models.linear import Linear
from tf_fullbatch.models.mlp import Mlp
from tf_fullbatch.models.nf_resnet import NF_RESNETS, NfResNet
from tf_fullbatch.models.preresnet import PRERESNETS, PreResNet
from tf_fullbatch.models.pyramidnet import PYRAMIDNETS, PyramidNet
from tf_fullbatch.models.resnet import RESNETS, ResNet
from tf_fullbatch.models.text import TEXT_NETWORKS, TextNetwork
from tf_fullbatch.models.vgg import VGG, VGGS
from tf_fullbatch.models.vit import VITS, ViT
from tf_fullbatch.models.wide_resnet import WIDE_RESNETS, WideResNet

MODELS: dict[str, type[NetworkSettings]] = {
    **dict.fromkeys(RESNETS, ResNet),
    **dict.fromkeys(PRERESNETS, PreResNet),
    **dict.fromkeys(WIDE_RESNETS, WideResNet),
    **dict.fromkeys(PYRAMIDNETS, PyramidNet),
    **dict.fromkeys(NF_RESNETS, NfResNet),
    **dict.fromkeys(DENSENETS, DenseNet),
    **dict.fromkeys(VGGS, VGG),
    **dict.fromkeys(VITS, ViT),
    **dict.fromkeys(CONVNEXTS, ConvNeXt),
    "cnn": Cnn,
    "mlp": Mlp,
    "linear": Linear,
    **dict.fromkeys(TEXT_NETWORKS, TextNetwork),
}
