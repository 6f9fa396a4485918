"""The measures there are."""

from tf_fullbatch.analysis.measures.base import COST, MeasureSettings, Quantity
from tf_fullbatch.analysis.measures.batch_sharpness import BatchSharpnessSettings
from tf_fullbatch.analysis.measures.central_flow import CentralFlowMeasureSettings
from tf_fullbatch.analysis.measures.critical_sharpness import CriticalSharpnessSettings
from tf_fullbatch.analysis.measures.density import DensitySettings
from tf_fullbatch.analysis.measures.el2n import El2nSettings
from tf_fullbatch.analysis.measures.gradient_flow import GradientFlowMeasureSettings
from tf_fullbatch.analysis.measures.gradient_flow_angle import GradientFlowAngleSettings
from tf_fullbatch.analysis.measures.grand import GrandSettings
from tf_fullbatch.analysis.measures.momentum_similarity import MomentumSimilaritySettings
from tf_fullbatch.analysis.measures.noise_scale import NoiseScaleSettings
from tf_fullbatch.analysis.measures.per_example import PerExampleSettings
from tf_fullbatch.analysis.measures.per_layer import PerLayerSettings
from tf_fullbatch.analysis.measures.sharpness import SharpnessSettings
from tf_fullbatch.analysis.measures.snr import SnrSettings
from tf_fullbatch.analysis.measures.trace import TraceSettings

MEASURES: dict[str, type[MeasureSettings]] = {
    "batch_sharpness": BatchSharpnessSettings,
    "central_flow": CentralFlowMeasureSettings,
    "critical_sharpness": CriticalSharpnessSettings,
    "density": DensitySettings,
    "el2n": El2nSettings,
    "gradient_flow": GradientFlowMeasureSettings,
    "gradient_flow_angle": GradientFlowAngleSettings,
    "grand": GrandSettings,
    "momentum_similarity": MomentumSimilaritySettings,
    "noise_scale": NoiseScaleSettings,
    "per_example": PerExampleSettings,
    "per_layer": PerLayerSettings,
    "sharpness": SharpnessSettings,
    "snr": SnrSettings,
    "trace": TraceSettings,
}


def quantity(measure: str, name: str) -> Quantity:
    """What a figure of a measure is; of a version that knew others, its name alone."""
    known = COST if measure not in MEASURES else {**COST, **MEASURES[measure].quantities}
    return known.get(name, Quantity(name))
