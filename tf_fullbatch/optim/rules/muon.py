"""Muon: momentum that is made orthogonal, of convolutions too."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rules.adaptive_moments import adam_direction, mean_squares
from tf_fullbatch.optim.rules.update_rule import Moved, Now, UpdateRule, refuse_outside

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration `X <- a X + (b A + c A^2) X`, `A = X X^T`; singular values end between 0.7 and 1.2."""
_ADAM = (0.9, 0.95, 1e-10)


def orthogonalized(matrix: tf.Tensor, steps: int) -> tf.Tensor:
    """A matrix with the same singular vectors whose singular values are about 1, by Newton and Schulz's iteration.

    Args:
        matrix: `[rows, columns]`.
        steps: How often to iterate.

    Source: Jordan et al. 2024 (kellerjordan.github.io/posts/muon).
    """
    a, b, c = (trees.scalar(value, matrix.dtype) for value in COEFFICIENTS)
    tall = matrix.shape[0] > matrix.shape[1]
    x = tf.transpose(matrix) if tall else matrix
    x /= tf.norm(x) + trees.scalar(1e-7, x.dtype)
    for _ in range(steps):
        gram = tf.matmul(x, x, transpose_b=True)
        x = a * x + tf.matmul(b * gram + c * tf.matmul(gram, gram), x)
    return tf.transpose(x) if tall else x


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class Muon(UpdateRule):
    """Momentum orthogonalised by Newton and Schulz's iteration; convolutions are matrices of `(h w in, out)`.

        m = momentum m + (1 - momentum) g
        u = momentum m + (1 - momentum) g             with Nesterov;   u = m   without
        p = p - lr * (sqrt(max(1, out / in)) orthogonalized(u) + weight_decay * p)

    `in` of a convolution is h w in. Variables of less than two axes, of one column or row, and, unless `head`, the
    last one of two axes and more move by Adam (0.9, 0.95, 1e-10) at `adam_rate` times the rate. `keras.optimizers.Muon`
    leaves all convolutions to Adam.

    Args:
        learning_rate: See `UpdateRule`.
        momentum: In [0, 1).
        nesterov: Look one momentum step ahead.
        newton_schulz_steps: How often to iterate.
        adam_rate: Factor on the rate of what moves by Adam.
        head: Orthogonalise the last matrix too.
        weight_decay: Of the decoupled decay.
        name: Name of the optimizer.
        **unsupported: See `UpdateRule`.

    Source: Jordan et al. 2024 (kellerjordan.github.io/posts/muon). The published code takes the scale of a convolution
    from its kernel's unflattened shape, where it is 1 of 3 x 3 kernels.
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "momentum",
        "nesterov",
        "newton_schulz_steps",
        "adam_rate",
        "head",
    )
    mean_of_gradients: ClassVar[str | None] = "momentum"

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.95,
        nesterov: bool = True,
        newton_schulz_steps: int = 5,
        adam_rate: float = 0.015,
        head: bool = False,
        weight_decay: float = 0.0,
        name: str = "muon",
        **unsupported: Any,
    ) -> None:
        refuse_outside("momentum", momentum, 0, 1)
        if newton_schulz_steps < 1 or not adam_rate > 0:
            raise UserError(
                f"newton_schulz_steps={newton_schulz_steps}, adam_rate={adam_rate}: at least 1, and a positive number."
            )
        super().__init__(learning_rate, weight_decay, name, **unsupported)
        self.momentum, self.nesterov = momentum, nesterov
        self.newton_schulz_steps, self.adam_rate, self.head = newton_schulz_steps, adam_rate, head

    def keeps(self) -> Mapping[str, float]:
        """See `UpdateRule`."""
        return {"momentum": 0.0, "velocity": 0.0}

    def moved(self, now: Now) -> Moved:
        """See `UpdateRule`."""
        orthogonal = self._orthogonalised(now.theta)
        by_adam = [i for i in range(len(now.theta)) if i not in orthogonal]
        rest = now.only(by_adam)
        mean = now.running_mean("momentum", self.momentum)
        squares = list(now.kept["velocity"])
        direction = list(mean)
        for i in orthogonal:
            direction[i] = self._direction(mean[i], now.gradient[i])
        of_adam = rest.running_mean("momentum", _ADAM[0]), mean_squares(rest, "velocity", _ADAM[1])
        for i, m, v, u in zip(by_adam, *of_adam, adam_direction(rest, *of_adam, *_ADAM), strict=True):
            mean[i], squares[i], direction[i] = m, v, trees.scalar(self.adam_rate, u.dtype) * u
        return Moved(now.change(direction), {"momentum": mean, "velocity": squares})

    def _orthogonalised(self, theta: Tree) -> set[int]:
        """Positions of the variables that are."""
        matrices = [i for i, p in enumerate(theta) if len(p.shape) > 1]
        if not self.head:
            matrices = matrices[:-1]
        return {i for i in matrices if min(_matrix_shape(theta[i])) > 1}

    def _direction(self, mean: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        ahead = mean
        if self.nesterov:
            f = self.momentum
            ahead = trees.scalar(f, mean.dtype) * mean + trees.scalar(1 - f, mean.dtype) * gradient
        rows, columns = _matrix_shape(ahead)
        found = orthogonalized(tf.reshape(ahead, (rows, columns)), self.newton_schulz_steps)
        return trees.scalar(max(1.0, columns / rows) ** 0.5, mean.dtype) * tf.reshape(found, mean.shape)


def _matrix_shape(leaf: tf.Tensor) -> tuple[int, int]:
    """(inputs, outputs) of a kernel, its last axis being that of the outputs."""
    outputs = int(leaf.shape[-1])
    return int(leaf.shape.num_elements()) // outputs, outputs
