"""What an optimizer's settings are asked for."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    import keras

LearningRate: TypeAlias = "float | keras.optimizers.schedules.LearningRateSchedule"


class OptimizerSettings(Settings, ABC):
    """Settings of an optimizer, which it is built from; importing them imports no TensorFlow."""

    __slots__ = ()
    summary: ClassVar[str] = ""
    """What --help says of it, in brackets after its name."""
    asks_objective: ClassVar[bool] = False
    """Whether it builds an `rules.objective_optimizer.ObjectiveOptimizer`, which asks more than the gradient."""

    @property
    def asks(self) -> bool:
        """Whether a step may take more gradient evaluations than the one at its beginning, as many as it needs."""
        return self.asks_objective

    @property
    def ignores_the_rate(self) -> bool:
        """Whether the learning rate does nothing."""
        return False

    @abstractmethod
    def build(self, learning_rate: LearningRate) -> "keras.optimizers.Optimizer":
        """The optimizer; it gets the reduced, clipped gradient once per step, or asks the objective.

        Args:
            learning_rate: A constant rate, or a Keras schedule of the step.
        """


def weight_decay() -> Any:
    """The field of the flag --weight_decay, for every optimizer that has it."""
    return setting(
        5e-4,
        "Weight decay: coupled L2 for gradient_descent, adai, lars and larc, within the layers' ratio for lamb, "
        "decoupled for all others.",
        minimum=0,
    )


def optimizer_options() -> Any:
    """The field of the flag --optimizer_options, for every optimizer that has options by this flag."""
    return setting(
        None,
        "Options of an --optimizer that has no flags of its own for them, key=value,...: momentum=0.9 of muon, "
        "epsilon=1e-6 of keras:Adam. A wrong name lists those there are.",
        options=True,
    )


def flow_tolerance() -> Any:
    """The field of the flag --flow_tolerance, for every flow."""
    return setting(
        1e-4,
        "Residual of a flow's Hessian eigenvalues, as a share of the largest, that is small enough.",
        above=0,
        below=1,
    )
