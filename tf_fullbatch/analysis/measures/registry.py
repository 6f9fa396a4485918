"""The measures there are."""

from tf_fullbatch.analysis.measures.base import MeasureSettings

MEASURES: dict[str, type[MeasureSettings]] = {}
