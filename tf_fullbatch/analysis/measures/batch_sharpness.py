"""--measure=batch_sharpness: the curvature of micro-batches along their own gradients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.analysis.measures.base import Figure, Measure, MeasureSettings, Moment, Quantity
from tf_fullbatch.settings.fields import setting

_CURVATURES = "curvature along gradients"


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchSharpnessSettings(MeasureSettings):
    """Settings of batch sharpness (Andreyev and Beneventano 2024, arXiv 2412.20553).

    It costs five gradient evaluations per sample, four where another measure asks for the gradient; each probe three.
    """

    summary: ClassVar[str] = "curvature along micro-batches' gradients, 5 gradient evaluations per sample"
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "batch_sharpness": Quantity(
            "E_b[g_b.H_b g_b / |g_b|^2] over all micro-batches of the set, each with its own loss: with batch "
            "normalisation and augmentation as training takes it. Under SGD of such batches it settles at 2 / lr.",
            panel=_CURVATURES,
        ),
        "batch_sharpness_standard_error": Quantity(
            "Its standard error by the jackknife over micro-batches.", drawn="not"
        ),
        "batch_sharpness_ratio": Quantity(
            "E_b[g_b.H_b g_b] / E_b[|g_b|^2] over all micro-batches.", panel=_CURVATURES
        ),
        "batch_sharpness_ratio_standard_error": Quantity(
            "Its standard error by the jackknife over micro-batches.", drawn="not"
        ),
        "gradient_sharpness": Quantity(
            "g.H g / |g|^2 of the whole set; at most the largest eigenvalue.", panel=_CURVATURES
        ),
        "gradient_noise_interaction": Quantity(
            "E_b[g_b.H g_b] / |g|^2, H of the whole set, by random signs of the micro-batches.",
            panel=_CURVATURES,
        ),
        "gradient_noise_interaction_standard_error": Quantity(
            "Its standard error over the random signs.", drawn="not"
        ),
    }
    needs_second_derivatives: ClassVar[bool] = True

    noise_interaction_probes: int = setting(
        0,
        "Draws of signs for gradient_noise_interaction, 3 gradient evaluations per sample each; 0: without.",
        minimum=0,
    )

    def build(self) -> Measure:
        """The measure."""
        return BatchSharpnessMeasure(self.noise_interaction_probes)


class BatchSharpnessMeasure(Measure):
    """Takes curvature along gradients over the micro-batches of the training set.

    Args:
        probes: Draws of signs for the gradient-noise interaction; 0 leaves it out.
    """

    def __init__(self, probes: int):
        self._probes = probes

    def figures(self, moment: Moment) -> list[Figure]:
        """See `Measure.figures`."""
        from tf_fullbatch.analysis.batch_sharpness import batch_sharpness
        from tf_fullbatch.analysis.noise_interaction import gradient_noise_interaction

        gradient = moment.point().gradient
        found = batch_sharpness(moment.objective, gradient=gradient)
        figures = [
            Figure("batch_sharpness", found.of_batches),
            Figure("batch_sharpness_standard_error", found.of_batches_standard_error),
            Figure("batch_sharpness_ratio", found.ratio),
            Figure("batch_sharpness_ratio_standard_error", found.ratio_standard_error),
            Figure("gradient_sharpness", found.of_the_set),
        ]
        if self._probes:
            interaction = gradient_noise_interaction(
                moment.objective, gradient=gradient, probes=self._probes, seed=moment.seed
            )
            figures += [
                Figure("gradient_noise_interaction", interaction.value),
                Figure("gradient_noise_interaction_standard_error", interaction.standard_error),
            ]
        return figures
