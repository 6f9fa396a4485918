"""The operations of a traced function, those of the functions within it included."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf


class Operation(NamedTuple):
    """One operation.

    Attributes:
        type: Such as "MatMul".
        name: Its name; within a nested function (a loop's body, a branch), that of the operation that calls it
            before its own, so that the name scopes of layers stand in it.
        node: Its definition, with the shapes of its outputs in the attribute `_output_shapes`.
    """

    type: str
    name: str
    node: Any


def operations_of(graph: tf.Graph) -> list[Operation]:
    """All operations of a graph and of the functions that it calls, however deep."""
    definition = graph.as_graph_def(add_shapes=True)
    functions = {f.signature.name: f.node_def for f in definition.library.function}
    found: list[Operation] = []
    pending: list[tuple[str, Iterable[Any]]] = [("", definition.node)]
    entered = set()
    while pending:
        caller, nodes = pending.pop(0)
        for node in nodes:
            name = f"{caller}{node.name}"
            found.append(Operation(node.op, name, node))
            for function in _functions_in(node):
                if function in functions and function not in entered:
                    entered.add(function)
                    pending.append((f"{name}/", functions[function]))
    return found


def _functions_in(node: Any) -> list[str]:
    """Names of the functions that an operation calls."""
    names = [node.op]
    for value in node.attr.values():
        names += [f.name for f in (value.func, *value.list.func) if f.name]
    return names


def is_registered(type_: str) -> bool:
    """Whether a type is one of TensorFlow's operations, and not the made-up name of a function that a graph calls."""
    return hasattr(tf.raw_ops, type_)


def carries_numbers(tensor: tf.Tensor) -> bool:
    """Whether derivatives can go through a tensor: floats, and lists of them (variants)."""
    return tensor.dtype.is_floating or tensor.dtype.is_complex or tensor.dtype == tf.variant


def reached(tensors: Sequence[tf.Tensor]) -> Iterator[tuple[tf.Tensor, tf.Operation]]:
    """(tensor, operation that takes it), where both depend on some tensors by numbers or lists of them (variants)."""
    pending = list(tensors)
    seen = {tensor.name for tensor in pending}
    while pending:
        tensor = pending.pop()
        for operation in tensor.consumers():
            yield tensor, operation
            if operation.type == "StopGradient":
                continue
            for output in operation.outputs:
                if carries_numbers(output) and output.name not in seen:
                    seen.add(output.name)
                    pending.append(output)
