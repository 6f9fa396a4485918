"""A training before its first step, as measures and methods of descent may refuse it."""

from collections.abc import Sequence
from typing import Protocol


class Beginning(Protocol):
    """What is known of a training before its first step.

    Attributes:
        micro_batches: Micro-batches that the whole training set is.
    """

    micro_batches: int

    @property
    def has_momentum(self) -> bool:
        """Whether the method keeps a running mean or sum of gradients."""

    @property
    def beside_the_method(self) -> Sequence[str]:
        """What moves the weights beside the method at one rate and the whole set's loss, as flags: `--clip_norm=0.25`,
        penalties, noise, augmentation, update batches that are not the set, a rate that changes."""

    @property
    def beside_the_gradient(self) -> Sequence[str]:
        """What the method has beside the gradient, as flags: `--momentum=0.9`, `--weight_decay=0.0005`; its name where
        it is another method."""

    @property
    def beside_the_objective(self) -> Sequence[str]:
        """What keeps the gradient that is descended from being that of one function of the weights in a step, as flags:
        transforms such as clipping and noise, penalties by differences, factors on rates."""

    @property
    def differs_from_step_to_step(self) -> Sequence[str]:
        """What makes that function another one in the next step: augmentation, random layers, update batches that are
        not the set, a penalty whose strength changes."""

    def refuse_inexact(self) -> None:
        """Raises a `UserError` where exact products of the Hessian cannot be had of the network or loss."""

    def refuse_several_losses(self) -> None:
        """Raises one where the loss is not one function of the weights (`flows.smoothness`)."""

    def refuse_without_third_derivatives(self) -> None:
        """Raises one where it has no third derivatives, or is not one function of the weights."""
