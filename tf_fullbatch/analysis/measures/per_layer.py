"""--measure=per_layer: norms of the gradient and the weights, variable by variable."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.analysis.measures.base import Figure, Measure, MeasureSettings, Moment, Quantity


@dataclass(frozen=True, kw_only=True, slots=True)
class PerLayerSettings(MeasureSettings):
    """Settings of the norms of variables.

    It costs one gradient evaluation per sample, none where another measure asks for the gradient.
    """

    summary: ClassVar[str] = "norms of gradient and weights by variable, 1 gradient evaluation per sample"
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "layer_gradient_norm": Quantity(
            "|g_l|_2 of each trainable variable, by its path; without the penalty."
        ),
        "layer_weight_norm": Quantity("|w_l|_2 of each trainable variable, by its path."),
        "layer_gradient_to_weight": Quantity(
            "|g_l| / |w_l| of each trainable variable, by its path; nan where the weights are zero."
        ),
    }

    def build(self) -> Measure:
        """The measure."""
        return PerLayerMeasure()


class PerLayerMeasure(Measure):
    """Takes norms variable by variable."""

    def figures(self, moment: Moment) -> list[Figure]:
        """See `Measure.figures`."""
        from tf_fullbatch.analysis.layer_norms import layer_norms

        figures = []
        for path, norms in layer_norms(moment.objective, gradient=moment.point().gradient).items():
            figures += [
                Figure("layer_gradient_norm", norms.gradient, path),
                Figure("layer_weight_norm", norms.weights, path),
                Figure("layer_gradient_to_weight", norms.ratio, path),
            ]
        return figures
