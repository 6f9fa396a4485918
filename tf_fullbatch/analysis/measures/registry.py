"""The measures there are."""

from tf_fullbatch.analysis.measures.base import MeasureSettings
from tf_fullbatch.analysis.measures.noise_scale import NoiseScaleSettings
from tf_fullbatch.analysis.measures.snr import SnrSettings

MEASURES: dict[str, type[MeasureSettings]] = {
    "noise_scale": NoiseScaleSettings,
    "snr": SnrSettings,
}
