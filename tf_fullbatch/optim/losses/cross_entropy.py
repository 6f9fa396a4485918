"""--loss=cross_entropy: of class numbers and logits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.core.names import SMOOTHING_FORMS
from tf_fullbatch.optim.losses.base import LossSettings
from tf_fullbatch.settings.fields import check_ranges, refuse_without_effect, setting

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossEntropy(LossSettings):
    """Settings of `core.losses.SparseCrossentropy`."""

    summary: ClassVar[str] = "of class numbers and logits"

    label_smoothing: float = setting(
        0.0,
        "Share of the target probability spread evenly over classes, see --label_smoothing_form.",
        minimum=0,
        below=1,
    )
    label_smoothing_form: str = setting(
        SMOOTHING_FORMS[0],
        "Over which classes --label_smoothing spreads: uniform, all of them (s / K each; Keras), or others, all but "
        "the true one (s / (K - 1) each; Geiping et al. 2022's code). The same s is more in the second.",
        choices=SMOOTHING_FORMS,
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.label_smoothing:
            refuse_without_effect(self, ("label_smoothing_form",), "without --label_smoothing")

    def build(self, name: str) -> "keras.losses.Loss":
        """The loss."""
        from tf_fullbatch.core.losses import SparseCrossentropy

        return SparseCrossentropy(self.label_smoothing, label_smoothing_form=self.label_smoothing_form)
