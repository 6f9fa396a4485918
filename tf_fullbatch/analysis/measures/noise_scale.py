"""--measure=noise_scale: the gradient noise scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.analysis.measures.base import Figure, Measure, MeasureSettings, Moment, Quantity

if TYPE_CHECKING:
    from tf_fullbatch.analysis.beginning import Beginning

_SCALE, _PARTS = "noise scale", "noise and signal"


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseScaleSettings(MeasureSettings):
    """Settings of the gradient noise scale (McCandlish et al. 2018, arXiv 1812.06162).

    Of training's own steps metrics.csv has it for free (column `noise_scale`, at the weights before the update); this
    is for any other weights and moments, and shows its parts. It costs one gradient evaluation per sample, none where
    another measure asks for the gradient.
    """

    summary: ClassVar[str] = "the gradient noise scale, 1 gradient evaluation per sample"
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "noise_scale": Quantity(
            "Simple noise scale B = S / |G|^2, per micro-batch: with batch normalisation or augmentation of the "
            "gradients that training takes, not of samples by themselves. nan where |G|^2 is not positive.",
            "samples",
            panel=_SCALE,
        ),
        "noise_scale_of_the_set": Quantity(
            "S / |g|^2, g the gradient of the whole set, which is taken for the distribution.",
            "samples",
            panel=_SCALE,
        ),
        "gradient_covariance_trace": Quantity(
            "S = N (mean_b |g_b|^2 - |g|^2) / (K - 1) over the K micro-batches of N samples: the trace of the "
            "covariance of the samples' gradients, per micro-batch as the noise scale.",
            panel=_PARTS,
        ),
        "squared_signal": Quantity(
            "|G|^2 = |g|^2 - S / N, of the distribution that the set is drawn from; may be negative.",
            panel=_PARTS,
        ),
    }

    def check(self, training: "Beginning") -> None:
        """See `MeasureSettings.check`; it compares micro-batches."""
        from tf_fullbatch.analysis.partition import refuse_one

        MeasureSettings.check(self, training)
        refuse_one(training.micro_batches)

    def build(self) -> Measure:
        """The measure."""
        return NoiseScaleMeasure()


class NoiseScaleMeasure(Measure):
    """Takes the noise scale out of the gradient and its micro-batches' mean squared norm."""

    def __init__(self) -> None:
        self._sizes: list[int] | None = None

    def figures(self, moment: Moment) -> list[Figure]:
        """See `Measure.figures`."""
        from tf_fullbatch.analysis.noise_scale import noise_scale_of
        from tf_fullbatch.analysis.partition import micro_batch_sizes
        from tf_fullbatch.core import trees

        if self._sizes is None:
            self._sizes = micro_batch_sizes(moment.objective).tolist()
        point = moment.point()
        found = noise_scale_of(
            float(point.mean_squared_norm),
            float(trees.squared_norm(point.gradient)),
            sum(self._sizes),
            len(self._sizes),
        )
        return [
            Figure("noise_scale", float(found.simple)),
            Figure("noise_scale_of_the_set", float(found.of_the_set)),
            Figure("gradient_covariance_trace", float(found.covariance_trace)),
            Figure("squared_signal", float(found.squared_signal)),
        ]
