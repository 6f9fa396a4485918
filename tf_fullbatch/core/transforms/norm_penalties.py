"""Penalties on the norm of the weights, as terms of the gradient: what the method makes of it, it makes of them too."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.transforms.base import Figures, StepStart, Transform
from tf_fullbatch.core.trees import Tree

_Term = Callable[[Tree], Tree]
"""Maps the weights that are penalised to the penalty's gradient."""


def l2(coefficient: float, included: Sequence[bool]) -> Transform:
    """`g + c w`, the gradient of `c / 2 |w|_2^2`: coupled weight decay.

    Args:
        coefficient: c.
        included: Whether each variable is penalised.
    """
    return _added(lambda weights: trees.scale(coefficient, weights), included)


def l1(coefficient: float, included: Sequence[bool]) -> Transform:
    """`g + c sign(w)`, a subgradient of `c |w|_1`: 0 where w is.

    Args:
        coefficient: c.
        included: Whether each variable is penalised.
    """
    return _added(lambda weights: trees.scale(coefficient, [tf.sign(w) for w in weights]), included)


def squared_deviation(coefficient: float, norm: float, included: Sequence[bool]) -> Transform:
    """`g + 2 c (|w|_2^2 - b^2) w`, the gradient of `c / 2 (|w|_2^2 - b^2)^2`: weights on a sphere.

    Args:
        coefficient: c.
        norm: b, the radius. The norm is that of all variables that are penalised, as one vector.
        included: Whether each variable is penalised.

    Source: the `norm_bias` of type 2 of Geiping et al. 2022 (arXiv 2109.14119), in its code, over all parameters.
    """

    def term(weights: Tree) -> Tree:
        excess = trees.squared_norm(weights) - trees.scalar(norm**2, trees.widest(weights))
        return trees.scale(trees.scalar(2 * coefficient, excess.dtype) * excess, weights)

    return _added(term, included)


def _added(term: _Term, included: Sequence[bool]) -> Transform:
    def transform(tree: Tree, start: StepStart) -> tuple[Tree, Figures]:
        chosen = [i for i, penalised in enumerate(included) if penalised]
        if not chosen:
            return list(tree), {}
        found = list(tree)
        # In the sums' precision, which may be wider than the weights'.
        terms = term([tf.cast(start.weights[i], tree[i].dtype) for i in chosen])
        for i, added in zip(chosen, terms, strict=True):
            found[i] = tree[i] + added
        return found, {}

    return transform
