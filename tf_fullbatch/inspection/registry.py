"""The questions there are."""

from tf_fullbatch.inspection.barrier import BarrierQuestion
from tf_fullbatch.inspection.base import Question
from tf_fullbatch.inspection.flatness import FlatnessQuestion
from tf_fullbatch.inspection.landscape import LandscapeQuestion
from tf_fullbatch.inspection.path import PathQuestion
from tf_fullbatch.inspection.spectrum import SpectrumQuestion
from tf_fullbatch.inspection.trace import TraceQuestion

QUESTIONS: dict[str, type[Question]] = {
    "barrier": BarrierQuestion,
    "flatness": FlatnessQuestion,
    "landscape": LandscapeQuestion,
    "path": PathQuestion,
    "spectrum": SpectrumQuestion,
    "trace": TraceQuestion,
}
