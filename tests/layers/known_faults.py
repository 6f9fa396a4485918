"""What the package gets wrong at present. A fault that is mended fails its test until it is taken off this list."""

from tests.layers.case import DIFFERENCES, DTYPES, EXACT, PENALTIES

_SILENT_ZERO = "silently wrong: TensorFlow takes the second derivative for zero"
_LOOKUP = "LookupError with a traceback: TensorFlow has no second derivative"
_NO_GRADIENT = "silently wrong: layers before it get no gradient"
_MASK = "silently wrong: masked entries count in the loss"
_KERNEL = "silently wrong: the kernel is not the one that the layer assigns"
_LOOP = "TypeError with a traceback: forward mode does not pass a loop or conditional"
_FORWARD = ("forward_over_reverse",)

# Layer, penalties, dtype policies, what happens.
_FAULTS: list[tuple[str, tuple[str, ...], tuple[str, ...], str]] = [
    ("UpSampling2D (bilinear)", EXACT, DTYPES, _SILENT_ZERO),
    ("Resizing", EXACT, DTYPES, _SILENT_ZERO),
    ("UpSampling2D (bicubic)", EXACT, ("float64", "float32"), _LOOKUP),
    ("UpSampling2D (bicubic)", PENALTIES, ("mixed_bfloat16",), _NO_GRADIENT),
    ("Resizing (nearest)", EXACT, DTYPES, _LOOKUP),
    ("Resizing (bicubic)", EXACT, ("float64", "float32"), _LOOKUP),
    ("Resizing (bicubic)", PENALTIES, ("mixed_bfloat16",), _NO_GRADIENT),
    ("Activation (softsign)", EXACT, DTYPES, _LOOKUP),
    ("Dense (in float32)", PENALTIES, ("float64",), "TypeError with a traceback: gradients of two dtypes"),
    ("Dense (rematerialised)", PENALTIES, DTYPES, "ValueError with a traceback"),
    ("Embedding (its mask in the loss)", PENALTIES, DTYPES, _MASK),
    ("SpectralNormalization", _FORWARD, DTYPES, _LOOP),
    ("SpectralNormalization", ("none", "nested_tape", *DIFFERENCES), DTYPES, _KERNEL),
    ("AugMix", PENALTIES, ("float32", "mixed_bfloat16"), "silently wrong: other draws in each pass"),
    ("SimpleRNN", _FORWARD, DTYPES, _LOOP),
    ("LSTM", _FORWARD, DTYPES, _LOOP),
    ("LSTM (dropout)", _FORWARD, DTYPES, _LOOP),
    ("GRU", _FORWARD, DTYPES, _LOOP),
    ("GRU (reset before)", _FORWARD, DTYPES, _LOOP),
    ("RNN", _FORWARD, DTYPES, _LOOP),
    ("StackedRNNCells", _FORWARD, DTYPES, _LOOP),
    ("ConvLSTM1D", _FORWARD, DTYPES, _LOOP),
    ("ConvLSTM2D", _FORWARD, DTYPES, _LOOP),
    ("ConvLSTM3D", _FORWARD, DTYPES, _LOOP),
    ("Bidirectional", _FORWARD, DTYPES, _LOOP),
    ("Masking", _FORWARD, DTYPES, _LOOP),
]

KNOWN_FAULTS = {
    (layer, penalty, policy): what
    for layer, penalties, policies, what in _FAULTS
    for penalty in penalties
    for policy in policies
}
