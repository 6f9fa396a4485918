"""What layers cost, as plain numbers. Imports no Keras."""

import re
from collections.abc import Sequence
from typing import NamedTuple

_BLOCK = re.compile(r"(.*?block_?\d+)(_|$)")


class LayerCost(NamedTuple):
    """One layer or operation of a network, for one sample.

    Attributes:
        name: The layer's name.
        kind: Its class.
        output: Shape of what it returns, without the batch.
        parameters: Trainable weights that no layer before it has.
        multiply_adds: Products of weights or values that are summed; None where nobody says how many.
        kept_bytes: What it keeps for the gradient, beyond what layers before it keep.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int | None
    kept_bytes: int


class Part(NamedTuple):
    """Layers in a row: a block, or a layer of its own; or several equal ones of these, one after the other.

    Attributes:
        name: Of the first block or layer.
        layers: The first one's layers.
        repeats: How many there are.
        parameters: Of all of them.
        multiply_adds: Of all of them, as far as they are known.
        kept_bytes: Of all of them.
    """

    name: str
    layers: tuple[LayerCost, ...]
    repeats: int
    parameters: int
    multiply_adds: int
    kept_bytes: int

    @property
    def output(self) -> tuple[int, ...]:
        """Shape of what the last layer returns, without the batch."""
        return self.layers[-1].output


def parts(costs: Sequence[LayerCost]) -> list[Part]:
    """A network cut into blocks (layers whose names begin alike, with "block" and a number) and single layers."""
    found: list[Part] = []
    for name, layers in _named(costs):
        numbers = (
            sum(layer.parameters for layer in layers),
            sum(layer.multiply_adds or 0 for layer in layers),
            sum(layer.kept_bytes for layer in layers),
        )
        last = found[-1] if found else None
        if last is not None and len(layers) > 1 and _alike(last.layers, layers):
            total = [a + b for a, b in zip(last[3:], numbers, strict=True)]
            found[-1] = Part(last.name, last.layers, last.repeats + 1, *total)
        else:
            found.append(Part(name, layers, 1, *numbers))
    return found


def _named(costs: Sequence[LayerCost]) -> list[tuple[str, tuple[LayerCost, ...]]]:
    """(name, layers) of every block and single layer, in order of their first layers."""
    found: dict[str, list[LayerCost]] = {}
    for cost in costs:
        match = _BLOCK.match(cost.name)
        found.setdefault(match.group(1) if match else cost.name, []).append(cost)
    return [(name, tuple(layers)) for name, layers in found.items()]


def _alike(one: Sequence[LayerCost], other: Sequence[LayerCost]) -> bool:
    """Whether two blocks do the same on the same shapes."""
    return [(layer.kind, layer.output) for layer in one] == [(layer.kind, layer.output) for layer in other]
