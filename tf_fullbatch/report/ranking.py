"""Which arms are shown first where there are many."""

from collections.abc import Sequence

import numpy as np

from tf_fullbatch.report.arms import ComparedArm

FEW = 20
"""So many arms are all shown alike, each in a look of its own."""
BEST = 12
"""Of more arms so many have one, the best."""


def ranked(arms: Sequence[ComparedArm]) -> list[int]:
    """The indices of arms, the best mean figure first, those without a figure last; accuracies before losses."""

    def key(index: int) -> tuple[bool, str, float]:
        arm, values = arms[index], list(arms[index].figures().values())
        mean = float(np.mean(values)) if values else 0.0
        return not values, arm.quantity.name, -mean if arm.quantity.higher_is_better else mean

    return sorted(range(len(arms)), key=key)
