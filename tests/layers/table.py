"""The conformance table as text. `python -m tests.layers.table` writes docs/layers.md anew."""

from pathlib import Path

from tests.layers.case import DTYPES, PENALTIES, Case
from tests.layers.cases import FAMILIES
from tests.layers.outcome import TOLERANCES

DOCUMENT = Path(__file__).parents[2] / "docs" / "layers.md"
UPDATE = "python -m tests.layers.table"

REASONS = {
    "no second derivative": "TensorFlow has no derivative of the gradient's own operation, or takes it for zero "
    "(`ResizeBilinearGrad`, `ResizeBicubicGrad`, `ResizeNearestNeighborGrad`, `SoftsignGrad`). Use a "
    "finite-difference penalty.",
    "no bfloat16 gradient": "TensorFlow has no gradient of bicubic resizing in bfloat16: layers before it get none, "
    "and no word is said, in stock Keras too.",
    "max pooling in place": "TensorFlow's second derivative of max pooling is wrong in graphs where outputs have "
    "the shape of inputs (stride 1 with same padding; maps of one place; windows of one, as adaptive pooling has "
    "them). Use a finite-difference penalty.",
    "loop": "TensorFlow's forward mode does not pass through loops and conditionals. Use `nested_tape`, or "
    "`unroll=True` where the layer has it.",
    "assigned": "The layer assigns a trainable weight when it is called, so that there is no loss at shifted weights. "
    "Use `nested_tape`.",
    "python random": "The layer draws from Python's own `random` when it is traced: its draws are no function of "
    "seed and step, and differ between two passes over a micro-batch.",
    "no kernel": "TensorFlow, or Keras itself, cannot run the layer in this type on a CPU, with or without this "
    "package.",
}

NOT_COVERED = {
    "Layer InputLayer Input InputSpec Wrapper": "no computation of their own",
    "LSTMCell GRUCell SimpleRNNCell": "within StackedRNNCells and RNN",
    "FlaxLayer JaxLayer TorchModuleWrapper TFSMLayer": "other frameworks and loaded programs",
    "StringLookup TextVectorization": "strings, which no training set of arrays holds",
    "CutMix MixUp MaxNumBoundingBoxes": "take labels or boxes beside the images",
}

_INTRODUCTION = """# Stock Keras layers

`FullBatchModel` trains any Keras network. Its gradient of a layer is *right*, or the
network is *refused* before training, in one line that says why. This table says which, layer by layer. The tests that
check it make it (`tests/layers`; `{update}` writes it). Each row is a small network around the layer,
trained for one step on two micro-batches, of 3 and 2 samples. The step's gradient is compared with a plain loop of
GradientTapes in float64, at the same weights.

*Right* means that the relative distance of the two gradients is at most {float64:g} under the dtype policy float64,
{float32:g} under float32 and {mixed_bfloat16:g} under mixed_bfloat16; a difference penalty is compared with the same
difference. The latter two bounds allow for rounding alone: 6e-8 and 4e-3 at each operation, which a finite difference
multiplies by 5 to 20 here. The exact products by hand are themselves compared with extrapolated differences of the
gradient (to 1e-8): this tells a second derivative that is zero from one that TensorFlow leaves out. Normalisation
is written out in them. Random layers draw the same numbers in both; that all passes over a micro-batch draw
the same numbers when a seed decides is checked besides.

Not in the table: {not_covered}.
"""


def expected(case: Case, penalty: str, policy: str) -> str:
    """The wanted kind of outcome of a cell: "right", "refused" or "impossible"."""
    if policy in case.impossible:
        return "impossible"
    return "refused" if case.reason(penalty, policy) else "right"


def document() -> str:
    """The text of docs/layers.md."""
    not_covered = "; ".join(f"{', '.join(names.split())} ({why})" for names, why in NOT_COVERED.items())
    parts = [_INTRODUCTION.format(update=UPDATE, not_covered=not_covered, **TOLERANCES)]
    for title, cases in FAMILIES.items():
        parts += [f"## {title}\n", _table(cases)]
    notes = [f"{number}. {text}" for number, text in enumerate(REASONS.values(), 1)]
    return "\n".join([*parts, "## Notes\n", *notes]) + "\n"


def _table(cases: list[Case]) -> str:
    lines = [
        "| layer | " + " | ".join(f"`{p}`" for p in PENALTIES) + " |",
        "|---" * (len(PENALTIES) + 1) + "|",
    ]
    lines += [f"| {case.name} | " + " | ".join(_cell(case, p) for p in PENALTIES) + " |" for case in cases]
    return "\n".join(lines) + "\n"


def _cell(case: Case, penalty: str) -> str:
    """The words of the cell, once where all dtype policies share them."""
    words = {policy: _words(case, penalty, policy) for policy in DTYPES}
    if len(set(words.values())) == 1:
        return words[DTYPES[0]]
    shared = max(words.values(), key=list(words.values()).count)
    others = [f"{policy}: {word}" for policy, word in words.items() if word != shared]
    return "; ".join([shared, *others])


def _words(case: Case, penalty: str, policy: str) -> str:
    kind = expected(case, penalty, policy)
    reason = case.reason(penalty, policy)
    if kind == "refused" and reason:
        return f"refused {_note(reason)}"
    return kind if kind == "right" else f"impossible {_note('no kernel')}"


def _note(reason: str) -> str:
    return f"({list(REASONS).index(reason) + 1})"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
