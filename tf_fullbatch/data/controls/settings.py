"""Settings of the controls."""

import re
from dataclasses import dataclass

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.components import Group
from tf_fullbatch.settings.fields import refuse_without_effect, setting

UNIFORM, OTHER = "uniform", "other"
CONVENTIONS = (UNIFORM, OTHER)
"""Of label noise: the new label is one of all K classes, or one of the K - 1 others."""

NOISY, CLEAN = "noisy_labels", "clean_labels"
"""What the training samples with changed labels are called where they are evaluated: by the labels that are trained on,
and by those that they had."""

FIXED, PER_SAMPLE = "fixed", "per_sample"


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlConfig(Group):
    """Controls of generalisation studies, see `tf_fullbatch.data.controls.apply` for their order.

    What happens to a sample is a function of the run's seed and the sample's id alone: in a subset it is the same.
    """

    leave_out: str | None = setting(
        None,
        "Training samples to leave out: ids and ranges (positions in the source's training set), such as 3,10-19, or "
        "a file of them.",
    )
    label_noise: float = setting(
        0.0, "Probability p that a training label is drawn anew, by the run's seed.", minimum=0, maximum=1
    )
    label_noise_convention: str = setting(
        UNIFORM,
        "What --label_noise draws from: uniform, all K classes (a label is wrong with probability p (K-1) / K), or "
        "other, the K - 1 wrong ones (with probability p).",
        choices=CONVENTIONS,
    )
    random_labels: bool = setting(
        False, "Draw all training labels anew, from all classes (Zhang et al. 2017)."
    )
    noisy_validation: bool = setting(
        True,
        "Validation samples that are held out of the training set have its noise or random labels too; false: their "
        "own labels. Test labels are never changed.",
    )
    pixel_shuffle: str | None = setting(
        None,
        "Shuffle the pixels of all images, those to test on too: fixed, by one permutation, or per_sample, by one of "
        "each sample's own (Zhang et al. 2017). Unset: no.",
        choices=(FIXED, PER_SAMPLE),
    )
    gaussian_inputs: bool = setting(
        False,
        "Gaussian numbers in the place of all inputs, each channel of the training set's mean and variance (Zhang et "
        "al. 2017).",
    )
    duplicate: str | None = setting(
        None,
        "Training samples to have twice: a number, such as 100, or the probability of each, such as 0.1. Unset: none.",
    )

    def __post_init__(self) -> None:
        Group.__post_init__(self)
        if self.random_labels and self.label_noise:
            raise UserError(
                f"--random_labels with --label_noise={self.label_noise:g}: all labels are drawn anew already. Choose "
                "one of them."
            )
        if not self.label_noise:
            refuse_without_effect(self, ("label_noise_convention",), "without --label_noise")
        if not self.changes_labels:
            refuse_without_effect(self, ("noisy_validation",), "without --label_noise or --random_labels")
        if self.gaussian_inputs and self.pixel_shuffle is not None:
            raise UserError(
                f"--gaussian_inputs with --pixel_shuffle={self.pixel_shuffle}: there are no pixels left to shuffle. "
                "Choose one of them."
            )
        self.copies()

    @property
    def changes_labels(self) -> bool:
        """Whether training labels are changed."""
        return self.random_labels or self.label_noise > 0

    @property
    def changes_count(self) -> bool:
        """Whether there are more or fewer training samples than without controls."""
        return self.duplicate is not None or self.leave_out is not None

    def copies(self) -> int | float | None:
        """Training samples to have twice, as a number (int) or as the probability of each (float); None for none.

        Raises:
            UserError: It is neither.
        """
        if self.duplicate is None:
            return None
        if re.fullmatch(r"[1-9]\d{0,9}", self.duplicate):
            return int(self.duplicate)
        try:
            probability = float(self.duplicate)
        except ValueError:
            probability = -1.0
        if not 0 < probability <= 1:
            raise UserError(
                f"--duplicate={self.duplicate}: give a number of training samples, such as 100, or the probability of "
                "each, above 0 and at most 1.0, such as 0.1."
            )
        return probability
