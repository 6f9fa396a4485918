"""Whether a run whose every step was finite has diverged all the same: its last losses say so."""

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

BEYOND = 1000.0
"""How many times the reference a last loss may be. Overfitted networks stay below a hundred times chance."""


class Exploded(NamedTuple):
    """A last loss that means nothing.

    Attributes:
        split: "training", "validation" or "test".
        text: A clause: what it is, after which step, and what it was held against.
    """

    split: str
    text: str


def exploded(
    metrics: "pd.DataFrame", evaluations: "pd.DataFrame", classes: int | None, *, new_weights: bool
) -> Exploded | None:
    """The first of a run's last losses (training, validation, test; raw weights) that has exploded, if any.

    It has where it is not finite, or beyond `BEYOND` times a reference: of a cross-entropy that of guessing, log C; of
    other losses the first step's, that of the weights a network is made with. Of weights that may have been trained
    before it is the least of the split's evaluations before. Where there is none, or it is not positive, there is no
    reference.

    Args:
        metrics: metrics.csv.
        evaluations: evaluations.csv.
        classes: C; None is taken for 2.
        new_weights: Whether training began from new weights.
    """
    if metrics.empty:
        return None
    first = metrics["loss"].iloc[0]
    raw = evaluations[evaluations["weights"] == "raw"]
    lasts = {"training": metrics[-1:], **{s: raw[raw["split"] == s][-1:] for s in ("validation", "test")}}
    for split, last in lasts.items():
        for row in last.to_dict("records"):
            if math.isfinite(row["cross_entropy"]):
                name, value = "cross-entropy", row["cross_entropy"]
                reference, of = math.log(max(classes or 2, 2)), "that of guessing"
            else:
                name, value = "loss", row["loss"]
                evaluated = raw["loss"][raw["split"] == split].tolist()
                known = first if new_weights else min(evaluated[:-1], default=math.inf)
                reference, of = (
                    known if known > 0 else math.inf,
                    "that of the first step" if new_weights else "the least before",
                )
            where = f"the {split} {name} is {value:.4g} after step {row['step']}"
            if not math.isfinite(value):
                return Exploded(split, where)
            if value > BEYOND * reference:
                return Exploded(split, f"{where}, more than {BEYOND:g} times {of} ({reference:.3g})")
    return None
