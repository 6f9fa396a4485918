"""Compiled functions that are traced once for data of any length."""

from collections.abc import Callable
from typing import Any

import optree
import tensorflow as tf


class TracedOnce:
    """A `tf.function` whose first argument may hold tensors of any leading size, on any replicas.

    `tf.function` would trace anew for every number of samples; training, validation and test sets have three.

    Args:
        function: Takes a structure of tensors, `held`, and further structures of tensors, or None.
    """

    def __init__(self, function: Callable[..., Any]):
        self._function = function
        self._traces: dict[Any, Any] = {}

    @property
    def count(self) -> int:
        """How often the function was traced."""
        return len(self._traces)

    def __call__(self, held: Any, *arguments: Any) -> Any:
        """The function's result."""
        structure = (held, *arguments)
        free = len(tf.nest.flatten(held, expand_composites=True))
        leaves = tf.nest.flatten(structure, expand_composites=True)
        tensors = [leaf if leaf is None else tf.convert_to_tensor(leaf) for leaf in leaves]
        shapes = optree.tree_structure(arguments, none_is_leaf=True)  # type: ignore[arg-type]  # tensors are leaves
        key = (shapes, *(_key(t, free=i < free) for i, t in enumerate(tensors)))
        traced = self._traces.get(key)
        if traced is None:
            specs = tuple(_spec(t, free=i < free) for i, t in enumerate(tensors))
            traced = self._traces[key] = self._traced(structure, specs)
        return traced([t for t in tensors if t is not None])

    def _traced(self, structure: Any, specs: tuple[tf.TensorSpec | None, ...]) -> Any:
        def flat(tensors: list[tf.Tensor]) -> Any:
            given = iter(tensors)
            leaves = [None if spec is None else next(given) for spec in specs]
            return self._function(*tf.nest.pack_sequence_as(structure, leaves, expand_composites=True))

        function = tf.function(flat, autograph=False)
        return function.get_concrete_function([spec for spec in specs if spec is not None])


def _key(tensor: tf.Tensor | None, *, free: bool) -> Any:
    if tensor is None:
        return None
    shape = tuple(tensor.shape)
    return (tensor.dtype, len(shape), shape[1:] if free else shape)


def _spec(tensor: tf.Tensor | None, *, free: bool) -> tf.TensorSpec | None:
    if tensor is None:
        return None
    shape = tensor.shape
    return tf.TensorSpec([None, *shape[1:]] if free and shape.rank else shape, tensor.dtype)
