"""The transforms there are, of the gradient and of the update."""

from tf_fullbatch.optim.transforms.adaptive_clip import AdaptiveClip
from tf_fullbatch.optim.transforms.base import TransformSettings
from tf_fullbatch.optim.transforms.centralize import Centralize
from tf_fullbatch.optim.transforms.clip import Clip
from tf_fullbatch.optim.transforms.noise import Noise
from tf_fullbatch.optim.transforms.norm_penalties import L1, L2, SquaredDeviation
from tf_fullbatch.optim.transforms.weight_decay import WeightDecay

GRADIENT_TRANSFORMS: dict[str, type[TransformSettings]] = {
    "centralize": Centralize,
    "adaptive_clip": AdaptiveClip,
    "l2": L2,
    "squared_deviation": SquaredDeviation,
    "l1": L1,
    "clip": Clip,
    "noise": Noise,
}

OF_FLAGS = {"clip": "clip_norm", "noise": "additive_noise"}
"""Transforms of the gradient that are given by flags of their own; the list says where they act."""

UPDATE_TRANSFORMS: dict[str, type[TransformSettings]] = {
    "weight_decay": WeightDecay,
    "clip": Clip,
    "centralize": Centralize,
}
