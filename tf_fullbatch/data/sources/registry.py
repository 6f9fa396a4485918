"""The data sources there are, beside TFDS."""

from tf_fullbatch.data.sources.base import SourceSettings
from tf_fullbatch.data.sources.digits import Digits

SOURCES: dict[str, type[SourceSettings]] = {
    "digits": Digits,
}
"""Every other name is one of TFDS."""
