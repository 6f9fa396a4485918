"""The losses there are."""

from tf_fullbatch.optim.losses.base import LossSettings
from tf_fullbatch.optim.losses.cross_entropy import CrossEntropy
from tf_fullbatch.optim.losses.focal import Focal
from tf_fullbatch.optim.losses.incorrect_only import IncorrectOnly
from tf_fullbatch.optim.losses.sigmoid import Sigmoid
from tf_fullbatch.optim.losses.squared_error import SquaredError

LOSSES: dict[str, type[LossSettings]] = {
    "cross_entropy": CrossEntropy,
    "focal": Focal,
    "incorrect_only": IncorrectOnly,
    "sigmoid": Sigmoid,
    "squared_error": SquaredError,
}
