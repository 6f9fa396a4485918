"""The schedules there are."""

from tf_fullbatch.optim.schedules.base import ScheduleSettings
from tf_fullbatch.optim.schedules.constant import Constant
from tf_fullbatch.optim.schedules.cosine import Cosine
from tf_fullbatch.optim.schedules.linear import Linear
from tf_fullbatch.optim.schedules.published import Published
from tf_fullbatch.optim.schedules.steps import Steps

SCHEDULES: dict[str, type[ScheduleSettings]] = {
    "published": Published,
    "cosine": Cosine,
    "linear": Linear,
    "steps": Steps,
    "constant": Constant,
}
