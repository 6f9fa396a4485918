"""What a question about trained weights is: settings that answer it, and the figures of an answer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.core.names import STATISTICS
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.fields import Settings

if TYPE_CHECKING:  # settings import neither TensorFlow nor NumPy
    from tf_fullbatch.display.estimates import Row
    from tf_fullbatch.inspection.subject import Subject
    from tf_fullbatch.inspection.work import Work


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of an answer.

    Attributes:
        quantity: What it is.
        value: The number; nan where it has no meaning.
        of: What it is of where a quantity has several: "1" for the largest eigenvalue, a variable's path.
        standard_error: Of an estimate; None of what is no estimate.
        remark: How far it can be trusted, or what it is beside, in a few words.
    """

    quantity: str
    value: float
    of: str = ""
    standard_error: float | None = None
    remark: str = ""


class Question(Settings, ABC):
    """Settings of a question; importing them imports no TensorFlow.

    Attributes:
        summary: What --help says of it, in brackets after its name.
        weights: How many weights one answer is about: "each" (every run by itself), "all" (all runs together, of one
            network) or "two" (exactly two, of one network and the same samples).
    """

    __slots__ = ()
    summary: ClassVar[str] = ""
    weights: ClassVar[str] = "each"

    def statistics(self, split: str) -> str:
        """What batch normalisation normalises by where nothing is said: "batch", "frozen" or "recalibrated"."""
        return "batch" if split == "train" else "frozen"

    def looked_at(self, statistics: str) -> tuple[str, ...]:
        """All kinds of statistics that an answer is about, where this one is asked for."""
        return (statistics,)

    def identity(self, subjects: "Sequence[Subject]") -> Mapping[str, Any]:
        """What an answer depends on beside the settings, the weights and the samples; JSON's types."""
        del subjects
        return {}

    def check(self, subjects: "Sequence[Subject]") -> None:
        """Refuses what cannot be asked of these weights, before anything is computed or written.

        Raises:
            UserError: The question has no answer there.
        """

    @abstractmethod
    def answer(self, subjects: "Sequence[Subject]", work: "Work") -> Sequence[Figure]:
        """Computes the answer.

        Args:
            subjects: The weights, as many as `weights` says.
            work: Where tables, pictures and what is known already are kept.

        Raises:
            UserError: The question has no answer there.
        """


def drawn_rows(figures: "Sequence[Figure]") -> "list[Row]":
    """Figures as `display.estimates.draw_estimates` takes them."""
    from tf_fullbatch.display.estimates import Row

    return [
        Row(f"{f.quantity.replace('_', ' ')}\n{f.of}".strip(), f.value, f.standard_error) for f in figures
    ]


def in_inference(statistics: str) -> bool:
    """Whether the network is in inference, where nothing drops out."""
    assert statistics in STATISTICS
    return statistics != "batch"


def refuse_more_than(question: str, option: str, count: int, most: int, what: str) -> None:
    """Refuses an option that asks for more than there is.

    Raises:
        UserError: It does.
    """
    if count > most:
        raise UserError(
            f"--what_options={question}.{option}={count}: there are {most} {what}; ask for fewer."
        )
