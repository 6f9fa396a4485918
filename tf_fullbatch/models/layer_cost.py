"""What layers cost, as plain numbers. Imports no Keras."""

import re
from collections.abc import Sequence
from typing import NamedTuple

_BLOCK = re.compile(r"(.*?block_?\d+)(_|$)")


class LayerCost(NamedTuple):
    """One layer or operation of a network, for one sample.

    Attributes:
        name: The layer's name; of an operation that has none, that of the layer before it and its kind.
        kind: Its class; of an `Activation` the function.
        output: Shape of what it returns, without the batch.
        parameters: Trainable weights that no layer before it has.
        multiply_adds: Products that are summed; None where nobody says how many.
        kept_bytes: What it keeps for the gradient, beyond what layers before it keep.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int | None
    kept_bytes: int


class Totals(NamedTuple):
    """Sums of `LayerCost`s."""

    parameters: int
    multiply_adds: int
    kept_bytes: int


class Part(NamedTuple):
    """A block, or layers whose names begin alike; or several such blocks that do the same, one after the other.

    Attributes:
        name: Of the first one.
        kinds: Class -> how many layers of it one of them has, in order.
        output: Shape of what the last one returns, without the batch.
        repeats: How many there are.
        totals: Of all of them.
    """

    name: str
    kinds: dict[str, int]
    output: tuple[int, ...]
    repeats: int
    totals: Totals


def totals(costs: Sequence[LayerCost]) -> Totals:
    """Sums over layers; multiply-adds that nobody says are left out."""
    return Totals(
        sum(cost.parameters for cost in costs),
        sum(cost.multiply_adds or 0 for cost in costs),
        sum(cost.kept_bytes for cost in costs),
    )


def parts(costs: Sequence[LayerCost]) -> list[Part]:
    """A network cut into blocks (names alike up to "block" and a number) and layers with names alike up to a "_"."""
    groups: dict[str, list[LayerCost]] = {}
    for cost in costs:
        match = _BLOCK.match(cost.name)
        name = match.group(1) if match else cost.name.partition("/")[0].partition("_")[0]
        groups.setdefault(name, []).append(cost)
    found: list[Part] = []
    before: list[LayerCost] = []
    for name, layers in groups.items():
        if _BLOCK.match(name) and _alike(before, layers):
            last = found.pop()
            sums = Totals(*(a + b for a, b in zip(last.totals, totals(layers), strict=True)))
            found.append(last._replace(output=layers[-1].output, repeats=last.repeats + 1, totals=sums))
        else:
            kinds = {layer.kind: sum(layer.kind == one.kind for one in layers) for layer in layers}
            found.append(Part(name, kinds, layers[-1].output, 1, totals(layers)))
        before = layers
    return found


def _alike(one: Sequence[LayerCost], other: Sequence[LayerCost]) -> bool:
    """Whether two blocks have the same layers and leave images of the same size, whatever their channels."""
    return [(c.kind, c.output[:-1]) for c in one] == [(c.kind, c.output[:-1]) for c in other]
