"""The losses there are."""

from tf_fullbatch.optim.losses.base import LossSettings
from tf_fullbatch.optim.losses.cross_entropy import CrossEntropy
from tf_fullbatch.optim.losses.squared_error import SquaredError

LOSSES: dict[str, type[LossSettings]] = {"cross_entropy": CrossEntropy, "squared_error": SquaredError}
