"""What a measure is: settings that build it, figures of a training at a step, and what it keeps from step to step."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Protocol

from tf_fullbatch.settings.fields import Settings

if TYPE_CHECKING:  # settings import neither TensorFlow nor NumPy
    import numpy as np

    from tf_fullbatch.analysis.beginning import Beginning
    from tf_fullbatch.analysis.stability import Stability
    from tf_fullbatch.core.kernels import MicroBatchFigures
    from tf_fullbatch.core.objective import Objective, Point
    from tf_fullbatch.core.penalties import Penalty
    from tf_fullbatch.core.trees import Tree


class Figure(NamedTuple):
    """One number that was measured.

    Attributes:
        quantity: A key of the measure's `quantities`.
        value: The number; nan where it has no meaning.
        of: What it is of where a quantity has several numbers: "1" for the largest eigenvalue, a variable's path.
    """

    quantity: str
    value: float
    of: str = ""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a figure is.

    Attributes:
        description: What is measured, with its formula.
        unit: Its unit; empty for pure numbers.
        panel: What it shares a panel of figures under with others of its measure; empty where it has one of its own.
        drawn: How figures draw it: a "line", a "bound" of the others in its panel, or "not": what only says how another
            was found stands in the table alone.
        level: A value that means something, drawn as a line; None for none.
    """

    description: str
    unit: str = ""
    panel: str = ""
    drawn: Literal["line", "bound", "not"] = "line"
    level: float | None = None


COST: Mapping[str, Quantity] = {
    "gradient_evaluations": Quantity(
        "Gradient evaluations per sample of the training set that the measure spent; what several measures need is "
        "counted for the first.",
        "per sample",
    ),
    "seconds": Quantity("Time that the measure took.", "s"),
}
"""What every measure records beside its figures."""


class Moment(Protocol):
    """A training between two steps, as measures see it. What several measures ask for is computed once.

    Attributes:
        step: Updates completed.
        seed: Seed of random probes: a function of the run's seed and the step, another one for each moment.
        objective: The loss of the whole training set as the next step would take it, without the penalty, noise,
            clipping and weight decay.
        learning_rate: Rate of the next step; of the last one where there is no next.
        stability: Where the next step's method loses its stability; None where that is not known.
        penalty: The run's gradient penalty, where the penalised loss has a Hessian (`Objective.hvp`); else None.
    """

    step: int
    seed: int
    learning_rate: float
    penalty: "Penalty | None"

    @property
    def objective(self) -> "Objective":
        """See above."""

    @property
    def stability(self) -> "Stability | None":
        """See above."""

    def point(self) -> "Point":
        """Loss and gradient of `objective` at the present weights; one gradient evaluation, once."""

    def micro_batches(self) -> "MicroBatchFigures":
        """Figures of each micro-batch by itself, arrays `[micro-batches]`; one gradient evaluation, once."""

    def update(self) -> "Tree":
        """What the next step would add to the weights: penalty, clipping and the optimizer's memory included, noise
        left out. Tree, in the variables' order; nothing is assigned. As many evaluations as a step, once."""

    def momentum(self) -> "Tree | None":
        """The optimizer's running mean or sum of gradients, Tree; None where it keeps none."""

    def by_samples(self) -> "Objective":
        """The objective with micro-batches of one sample each, the network in inference."""


class Measure(ABC):
    """A measure, made once per run; it may keep arrays from one moment to the next, which are part of checkpoints."""

    @abstractmethod
    def figures(self, moment: Moment) -> Sequence[Figure]:
        """Measures; the same moment gives the same bits.

        Args:
            moment: The training as it stands.
        """

    def state(self) -> "dict[str, np.ndarray]":
        """Name -> array of what is kept from moment to moment."""
        return {}

    def restore(self, arrays: "Mapping[str, np.ndarray]") -> None:
        """Takes back what `state` gave; what is lacking or does not fit is begun anew."""
        del arrays


class MeasureSettings(Settings, ABC):
    """Settings of a measure, which it is built from; importing them imports no TensorFlow.

    Attributes:
        summary: What --help says of it, in brackets after its name.
        quantities: Name -> what it is, of every figure it may give.
        needs_second_derivatives: Whether it asks for products of the Hessian, which some networks lack.
        in_inference: Whether it looks at the network in inference, whatever --measure_statistics says.
    """

    __slots__ = ()
    summary: ClassVar[str] = ""
    quantities: ClassVar[Mapping[str, Quantity]] = {}
    needs_second_derivatives: ClassVar[bool] = False
    in_inference: ClassVar[bool] = False

    @abstractmethod
    def build(self) -> Measure:
        """The measure."""

    def check(self, training: "Beginning") -> None:
        """Refuses a training of which it would have nothing to say; a subclass' own begins by this one.

        Args:
            training: Before its first step, and before anything is written.

        Raises:
            UserError: What is lacking, and what to do.
        """
        if self.needs_second_derivatives:
            training.refuse_inexact()
