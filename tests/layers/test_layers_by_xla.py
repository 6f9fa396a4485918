"""Rows of the conformance table compiled by XLA, which has kernels and gradients of its own for some operations."""

import unittest

import pytest
from absl.testing import parameterized

from tests.layers.case import EXACT, PENALTIES
from tests.layers.cases import CASES
from tests.layers.outcome import outcome
from tests.layers.reference import Reference

ROWS = (
    "Dense (shared)",
    "Embedding (mask_zero)",
    "Conv1D (causal, dilated)",
    "Conv2D (strided, same)",
    "Conv2D (grouped)",
    "Conv2DTranspose",
    "DepthwiseConv2D",
    "MaxPooling2D",
    "AveragePooling2D",
    "GlobalMaxPooling2D",
    "AdaptiveAveragePooling2D",
    "UpSampling2D",
    "Resizing (nearest)",
    "ZeroPadding2D",
    "BatchNormalization",
    "GroupNormalization",
    "LayerNormalization",
    "SpectralNormalization",
    "Activation (softmax)",
    "LSTM",
    "GRU (unrolled)",
    "Attention",
    "MultiHeadAttention (causal)",
)
REFUSED = dict.fromkeys(ROWS, ("forward_over_reverse",)) | {
    "MaxPooling2D": EXACT,
    "Resizing (nearest)": PENALTIES,
}
"""Row -> penalties with which `--jit_compile=on` is refused, beside those of the table."""


@pytest.mark.slow
class ByXlaTest(parameterized.TestCase):
    @parameterized.parameters(*ROWS)
    def test_row(self, name: str) -> None:
        case, found, wanted = CASES[name], {}, {}
        reference = Reference(case)
        for penalty in PENALTIES:
            of_cell = outcome(case, reference, penalty, "float64", jit_compile="on")
            found[penalty] = of_cell.kind if of_cell.kind in ("right", "refused") else str(of_cell)
            refused = penalty in REFUSED[name] or case.reason(penalty, "float64")
            wanted[penalty] = "refused" if refused else "right"
        self.assertEqual(found, wanted)


if __name__ == "__main__":
    unittest.main()
