"""The trainable variables of a network, and trees of numbers for them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError


class Parameters:
    """Trainable variables in a fixed order, whose values a tree lists.

    Args:
        variables: The variables.
    """

    def __init__(self, variables: Sequence[tf.Variable]):
        self.variables = list(variables)

    @property
    def count(self) -> int:
        """How many numbers they are."""
        return sum(int(np.prod(v.shape)) for v in self.variables)

    def values(self) -> Tree:
        """Their present values."""
        return [tf.convert_to_tensor(v.value) for v in self.variables]

    def like(self, tree: Sequence[tf.Tensor]) -> Tree:
        """Leaves in the variables' dtypes."""
        return [tf.cast(leaf, v.dtype) for leaf, v in zip(tree, self.variables, strict=True)]

    def tree(self, name: str, given: Sequence[Any]) -> Tree:
        """What a user gives as a tree, as tensors of the variables' dtypes.

        Args:
            name: What it is called, for the user.
            given: One array or tensor per variable.

        Raises:
            UserError: It does not fit the variables.
        """
        if len(given) != len(self.variables):
            raise UserError(
                f"{name} has {len(given)} leaves, but there are {len(self.variables)} trainable variables: give one "
                "array per variable, in their order."
            )
        for i, (leaf, variable) in enumerate(zip(given, self.variables, strict=True)):
            if tuple(np.shape(leaf)) != tuple(variable.shape):
                raise UserError(
                    f"{name}[{i}] has the shape {tuple(np.shape(leaf))}, but the variable {variable.path!r} has "
                    f"{tuple(variable.shape)}: give one array per variable, in their order."
                )
        return self.like(given)

    def positions(self, some: Sequence[tf.Variable]) -> list[int]:
        """Where some of the variables stand.

        Raises:
            UserError: One is none of them, or there are none.
        """
        every = [id(v) for v in self.variables]
        for variable in some:
            if id(variable) not in every:
                raise UserError(f"variables has {variable!r}, which is none of the trainable variables.")
        if not some:
            raise UserError("variables is empty: name some of the trainable variables, or None for all.")
        return [every.index(id(v)) for v in some]
