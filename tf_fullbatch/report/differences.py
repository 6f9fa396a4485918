"""Paired differences: two arms, the same seeds, one difference per seed."""

from collections.abc import Sequence
from dataclasses import dataclass

from tf_fullbatch.config.run import LOSS_SETTINGS
from tf_fullbatch.report.arms import SPLITS, ComparedArm, Comparison
from tf_fullbatch.report.quantities import LOSS, QUANTITIES, Quantity
from tf_fullbatch.report.statistics import Interval, half_width_factor, interval

ONE_SEED = "One seed: points, no claim."
_MANY = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """The figure of one arm minus that of another, with each seed both have completed.

    Attributes:
        first: Name of the arm that is subtracted from.
        second: Name of the arm that is subtracted.
        quantity: What is compared: accuracy, or loss where the two share no accuracy.
        split: The samples it is of: test, or validation where the two share no test figures.
        differences: Seed -> difference, of accuracies in percentage points; empty where no seed is completed in both.
        interval: Of their mean; None where there is no difference.
        other_losses: Whether there is none because the two have losses that do not compare.
    """

    first: str
    second: str
    quantity: Quantity
    split: str
    differences: dict[int, float]
    interval: Interval | None
    other_losses: bool = False


def paired_differences(comparison: Comparison) -> list[PairedDifference]:
    """The differences of all pairs of a comparison, in its order."""
    return [_paired(comparison, first, second) for first, second in comparison.pairs]


def _paired(comparison: Comparison, first: str, second: str) -> PairedDifference:
    arms = comparison.arm(first), comparison.arm(second)
    for quantity in QUANTITIES:
        for split in SPLITS:
            a, b = (arm.finals(quantity, split) for arm in arms)
            shared = {seed: a[seed] - b[seed] for seed in sorted(a) if seed in b}
            if shared and quantity is LOSS and not _losses_compare(*arms):
                return _difference(first, second, quantity, split, {}, other_losses=True)
            if shared:
                return _difference(first, second, quantity, split, shared)
    return _difference(first, second, comparison.quantities[0], SPLITS[0], {})


def _losses_compare(*arms: ComparedArm) -> bool:
    """Whether the losses of arms are of one kind: cross-entropies, or one and the same objective."""
    kinds = {run.has_cross_entropy for arm in arms for run in arm.completed}
    values = [arm.config.values() for arm in arms]
    trained = {(*(one[name] for name in LOSS_SETTINGS), arm.file_hashes.get("loss"))
               for one, arm in zip(values, arms, strict=True)}  # fmt: skip
    return kinds == {True} or (kinds == {False} and len(trained) == 1)


def _difference(
    first: str,
    second: str,
    quantity: Quantity,
    split: str,
    shared: dict[int, float],
    *,
    other_losses: bool = False,
) -> PairedDifference:
    return PairedDifference(
        first=first,
        second=second,
        quantity=quantity,
        split=split,
        differences=shared,
        interval=interval(list(shared.values())) if shared else None,
        other_losses=other_losses,
    )


def interval_in_words(counts: Sequence[int]) -> str:
    """How wide these numbers of seeds leave the interval of a mean difference, in a few sentences."""
    several = sorted({count for count in counts if count > 1})
    if not several:
        return (
            f"{ONE_SEED} A single difference says nothing about how far off that of another seed would be, so "
            "there is no mean and no interval."
        )
    widths = " and ".join(f"{half_width_factor(count):.2f} s with {count} seeds" for count in several)
    more = f"; {_MANY} seeds would leave {half_width_factor(_MANY):.2f} s" if max(several) < _MANY else ""
    single = f" For pairs with one seed: {ONE_SEED[0].lower()}{ONE_SEED[1:]}" if 1 in counts else ""
    return (
        "With s the sample standard deviation of a pair's differences, half the width of the 95 % interval (Student's "
        f"t) around their mean is {widths}{more}. Each interval is one by itself: of twenty, one is expected to miss. "
        "They are about other seeds on the same samples: other test samples would move the figures further."
        f"{single}"
    )
