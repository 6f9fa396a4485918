"""--measure=snr: signal to noise of gradients over micro-batches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.analysis.measures.base import Figure, Measure, MeasureSettings, Moment, Quantity
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    from tf_fullbatch.analysis.beginning import Beginning


@dataclass(frozen=True, kw_only=True, slots=True)
class SnrSettings(MeasureSettings):
    """Settings of signal to noise: of the gradient as a whole, and parameter by parameter (Liu et al. 2020).

    It costs two gradient evaluations per sample, one where another measure asks for the gradient; the standard error of
    GSNR one more.
    """

    summary: ClassVar[str] = "signal to noise of the gradient, 2 gradient evaluations per sample"
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "snr": Quantity(
            "|g| / sqrt(sum_i var_i), var_i the variance of parameter i's gradient over micro-batches (denominator "
            "K - 1): per micro-batch, of the gradients that training takes, batch normalisation and augmentation "
            "included."
        ),
        "snr_standard_error": Quantity(
            "Standard error of snr by the jackknife over micro-batches.", drawn="not"
        ),
        "gsnr": Quantity(
            "Mean over parameters with noise of g_i^2 / var_i; about 1 / K where there is no signal."
        ),
        "gsnr_standard_error": Quantity(
            "Standard error of gsnr by the jackknife over micro-batches.", drawn="not"
        ),
        "noiseless_parameters": Quantity(
            "Parameters whose gradient is the same in all micro-batches.", "parameters", drawn="not"
        ),
    }

    gsnr_jackknife: bool = setting(
        False, "Give gsnr a standard error too, for one more gradient evaluation per sample."
    )

    def check(self, training: "Beginning") -> None:
        """See `MeasureSettings.check`; it compares micro-batches."""
        from tf_fullbatch.analysis.partition import refuse_one
        from tf_fullbatch.analysis.snr import refuse_two

        MeasureSettings.check(self, training)
        refuse_one(training.micro_batches)
        if self.gsnr_jackknife:
            refuse_two(training.micro_batches)

    def build(self) -> Measure:
        """The measure."""
        return SnrMeasure(self.gsnr_jackknife)


class SnrMeasure(Measure):
    """Takes signal to noise over the micro-batches of the training set.

    Args:
        gsnr_jackknife: Give GSNR a standard error.
    """

    def __init__(self, gsnr_jackknife: bool):
        self._gsnr_jackknife = gsnr_jackknife

    def figures(self, moment: Moment) -> list[Figure]:
        """See `Measure.figures`."""
        from tf_fullbatch.analysis.snr import signal_to_noise

        found = signal_to_noise(
            moment.objective, gradient=moment.point().gradient, gsnr_jackknife=self._gsnr_jackknife
        )
        figures = [
            Figure("snr", found.snr),
            Figure("snr_standard_error", found.snr_standard_error),
            Figure("gsnr", found.gsnr),
            Figure("noiseless_parameters", found.noiseless),
        ]
        if self._gsnr_jackknife:
            figures.append(Figure("gsnr_standard_error", found.gsnr_standard_error))
        return figures
