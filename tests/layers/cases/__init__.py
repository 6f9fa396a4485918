"""The rows of the conformance table, one file a family of layers."""

from tests.layers.case import Case
from tests.layers.cases import activations, feature_maps, inputs, merging, normalization, recurrent, weighted

FAMILIES: dict[str, list[Case]] = {
    "Layers with weights": weighted.CASES,
    "Pooling, resizing, cutting and reordering": feature_maps.CASES,
    "Normalisation and regularisation": normalization.CASES,
    "Activations": activations.CASES,
    "Recurrent layers and wrappers": recurrent.CASES,
    "Merging and attention": merging.CASES,
    "Preparation of inputs": inputs.CASES,
}
CASES: dict[str, Case] = {case.name: case for family in FAMILIES.values() for case in family}
