"""The objective of one update batch, frozen: its loss, gradient and curvature at any parameters."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy.sparse.linalg import LinearOperator

from tf_fullbatch.core.audit import refuse_assigned_weights
from tf_fullbatch.core.curvature import CURVATURES
from tf_fullbatch.core.full_pass import FullPass
from tf_fullbatch.core.kernels import GradientKernel, LossKernel, MicroBatchFigures, ProductKernel
from tf_fullbatch.core.micro_batch import MicroBatchLoss, StepScalars
from tf_fullbatch.core.passes import Kernel, PassMeans, Source
from tf_fullbatch.core.penalties import Penalty, penalty_value
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError

FORWARD_EVALUATIONS = 1 / 3
"""Gradient evaluations that a forward pass alone counts for."""
PRODUCT_EVALUATIONS = 2
"""Gradient evaluations that an exact product counts for, the gradient on its way included."""


class Point(NamedTuple):
    """Loss and gradient of an update batch at some parameters.

    Attributes:
        loss: Scalar, without the penalty.
        gradient: Tree in the variables' dtypes, of `g + (lr / 4) mean_b H_b v_b`; of the loss itself without a penalty.
        penalty: Scalar, what the penalty adds to the loss.
        accuracy: Scalar; 0 where it has no meaning.
        mean_squared_norm: Scalar, the mean over micro-batches of `|g_b|^2`.
    """

    loss: tf.Tensor
    gradient: Tree
    penalty: tf.Tensor
    accuracy: tf.Tensor
    mean_squared_norm: tf.Tensor


PassMaker = Callable[[Kernel, int], FullPass]
"""Makes a pass of a kernel, with room for the figures of so many micro-batches."""


class Objective:
    """Answers questions about one update batch at any parameters, over all samples and replicas.

    Samples, augmentation and dropout are fixed: those of one step of one epoch, so it is one deterministic function
    as long as the network's non-trainable variables stay as they are (a layer may read them; training moves them). It
    is the function that training descends: batch normalisation takes the statistics of each micro-batch, dropout
    drops. Noise, clipping and weight decay are not part of it. Nothing is assigned: neither weights nor moving
    averages change.

    Args:
        loss: The micro-batch's loss.
        make_pass: Makes passes over the update batch.
        source: The update batches.
        step: Which step of an epoch.
        scalars: The step's scalars.
        micro_batches: How many the step has.
        refuse_inexact: Raises where exact products of this network cannot be had; asked before the first.
        keep_noise: Keep the random factors on the losses: the value is then not the gradient's function.

    Attributes:
        evaluations: Gradient evaluations per sample spent so far; a forward pass alone counts a third, an exact
            product two.
    """

    def __init__(
        self,
        loss: MicroBatchLoss,
        make_pass: PassMaker,
        source: Source,
        step: int,
        scalars: StepScalars,
        micro_batches: int,
        refuse_inexact: Callable[[], None] = lambda: None,
        keep_noise: bool = False,
    ):
        self._loss = loss if keep_noise else loss.without_noise()
        self._make_pass = make_pass
        self._source = source
        self._step = step
        self._scalars = scalars
        self._micro_batches = micro_batches
        self._refuse_inexact = refuse_inexact
        self._passes: dict[tuple, FullPass] = {}
        self.evaluations = 0.0

    def __repr__(self) -> str:
        """How much there is of it."""
        numbers = sum(int(np.prod(v.shape)) for v in self.variables)
        variables = f"{numbers:,} parameters in {len(self.variables)} variables"
        return f"<Objective of {variables}, {self._micro_batches} micro-batches>"

    @property
    def variables(self) -> list[tf.Variable]:
        """The trainable variables whose values theta lists, in order."""
        return list(self._loss.call.weights)

    def theta(self) -> Tree:
        """The variables' present values."""
        return [tf.convert_to_tensor(v.value) for v in self.variables]

    def loss(self, theta: Sequence[tf.Tensor] | None = None) -> tf.Tensor:
        """The mean training loss, by forward passes alone; a third of a gradient evaluation.

        Args:
            theta: Tree, one array or tensor per trainable variable; None for the present weights.

        Raises:
            UserError: theta does not fit the variables, or the network assigns weights when it is called.
        """
        means = self._run(("loss",), lambda: LossKernel(self._loss), theta)
        self.evaluations += FORWARD_EVALUATIONS
        return means.weighted

    def value_and_gradient(
        self, theta: Sequence[tf.Tensor] | None = None, penalty: Penalty | None = None
    ) -> Point:
        """Loss and gradient.

        Args:
            theta: Tree, one array or tensor per trainable variable; None for the present weights.
            penalty: A gradient penalty with this step's strengths and rate; None for the loss alone. The penalty on
                the whole gradient, where its strength is not 0, takes one more pass.

        Raises:
            UserError: theta does not fit the variables, or the network assigns weights when it is called.
        """
        whole: Tree | None = None
        if penalty is not None and float(self._scalars.full_penalty):
            whole = self.value_and_gradient(theta).gradient
        means = self._run(("gradient", penalty), lambda: GradientKernel(self._loss, penalty), theta, whole)
        self.evaluations += 1 if penalty is None else penalty.gradient_evaluations
        square = means.weighted.squared_norm
        added = penalty_value(self._scalars, square, whole) if penalty is not None else tf.zeros([])
        gradient = _like(means.weighted.gradient, self.variables)
        return Point(means.weighted.loss, gradient, added, means.sampled.accuracy, square)

    def hvp(
        self,
        theta: Sequence[tf.Tensor] | None,
        v: Sequence[tf.Tensor],
        curvature: str = "hessian",
    ) -> Tree:
        """An exact product of the loss's curvature with a direction, whatever penalty a run has.

        Args:
            theta: Tree, a list of arrays or tensors with the shapes of the network's `trainable_variables`, in their
                order (`objective.variables`; `objective.theta()` gives their values); None for the present weights.
            v: Tree, the direction, such a list too; `linear_operator` takes a vector of all numbers instead.
            curvature: "hessian", `H v`, or "ggn", `J^T H_L J v` (the generalised Gauss-Newton matrix).

        Returns:
            Tree in the variables' dtypes.

        Raises:
            UserError: theta or v does not fit the variables, the curvature is unknown, or the network has none.
        """
        _refuse_unknown(curvature)
        direction = self._tree("v", v)
        means = self._run(("product", curvature), lambda: self._product_kernel(curvature), theta, direction)
        self.evaluations += PRODUCT_EVALUATIONS
        return _like(means.weighted, self.variables)

    def linear_operator(
        self, theta: Sequence[tf.Tensor] | None = None, curvature: str = "hessian"
    ) -> LinearOperator:
        """The curvature as a symmetric SciPy operator on vectors of all parameters, one leaf after the other.

        `scipy.sparse.linalg.eigsh(operator, k=3, which="LA")` gives its largest eigenvalues; each product is a pass
        over the set.

        Args:
            theta: Tree, one array or tensor per trainable variable; None for the present weights.
            curvature: "hessian" or "ggn".

        Raises:
            UserError: theta does not fit the variables, or the curvature is unknown.
        """
        _refuse_unknown(curvature)
        at = self.theta() if theta is None else self._tree("theta", theta)
        shapes = [tuple(v.shape) for v in self.variables]
        sizes = [int(np.prod(shape)) for shape in shapes]
        dtype = np.result_type(*(tf.as_dtype(v.dtype).as_numpy_dtype for v in self.variables))

        def matvec(vector: np.ndarray) -> np.ndarray:
            cuts = np.split(np.ravel(vector), np.cumsum(sizes)[:-1])
            leaves = [np.reshape(cut, shape) for cut, shape in zip(cuts, shapes, strict=True)]
            product = self.hvp(at, leaves, curvature)
            return np.concatenate([np.ravel(leaf).astype(dtype) for leaf in product])

        return LinearOperator((sum(sizes), sum(sizes)), matvec=matvec, rmatvec=matvec, dtype=dtype)

    def micro_batches(
        self,
        theta: Sequence[tf.Tensor] | None = None,
        penalty: Penalty | None = None,
        full_gradient: Sequence[tf.Tensor] | None = None,
    ) -> MicroBatchFigures:
        """Figures of each micro-batch by itself, arrays of one number per micro-batch.

        Args:
            theta: Tree, one array or tensor per trainable variable; None for the present weights.
            penalty: Penalty whose gradient is looked at; None for none.
            full_gradient: Tree, the whole update batch's gradient, where that penalty needs it.

        Raises:
            UserError: theta does not fit the variables, or the network assigns weights when it is called.
        """
        means = self._run(
            ("micro-batches", penalty),
            lambda: GradientKernel(self._loss, penalty, each=True),
            theta,
            None if full_gradient is None else list(full_gradient),
            room=self._micro_batches,
        )
        self.evaluations += 1 if penalty is None else penalty.gradient_evaluations
        return MicroBatchFigures(*np.asarray(means.each).T)

    def measure(
        self,
        kernel: Callable[[MicroBatchLoss], Kernel],
        theta: Sequence[tf.Tensor] | None = None,
        *extra: Any,
        evaluations: float = FORWARD_EVALUATIONS,
    ) -> PassMeans:
        """What a kernel of one's own computes of a micro-batch, averaged over the update batch.

        Args:
            kernel: Makes the kernel of the micro-batch's loss, such as its class; it is made and compiled once.
            theta: Tree, one array or tensor per trainable variable; None for the present weights.
            *extra: Structures of tensors, handed to the kernel.
            evaluations: Gradient evaluations per sample that it spends.

        Raises:
            UserError: theta does not fit the variables, or the network assigns weights when it is called.
        """
        means = self._run(("measure", kernel), lambda: kernel(self._loss), theta, *extra)
        self.evaluations += evaluations
        return means

    def _product_kernel(self, curvature: str) -> ProductKernel:
        self._refuse_inexact()
        refuse_assigned_weights(self._loss.call)
        return ProductKernel(self._loss, curvature)

    def _run(
        self,
        key: tuple,
        kernel: Callable[[], Kernel],
        theta: Sequence[tf.Tensor] | None,
        *extra: object,
        room: int = 0,
    ) -> PassMeans:
        if key not in self._passes:
            self._passes[key] = self._make_pass(kernel(), room)
        at = None
        if theta is not None:
            refuse_assigned_weights(self._loss.call)
            at = self._tree("theta", theta)
        return self._passes[key].run(self._source, self._step, self._scalars, at, *extra)

    def _tree(self, name: str, tree: Sequence[tf.Tensor]) -> Tree:
        """The leaves as tensors of the variables' dtypes."""
        if len(tree) != len(self.variables):
            raise UserError(
                f"{name} has {len(tree)} leaves, but there are {len(self.variables)} trainable variables: give one "
                "array per variable, in their order."
            )
        for i, (leaf, variable) in enumerate(zip(tree, self.variables, strict=True)):
            if tuple(np.shape(leaf)) != tuple(variable.shape):
                raise UserError(
                    f"{name}[{i}] has the shape {tuple(np.shape(leaf))}, but the variable {variable.path!r} has "
                    f"{tuple(variable.shape)}: give one array per variable, in their order."
                )
        return [tf.cast(leaf, v.dtype) for leaf, v in zip(tree, self.variables, strict=True)]


def _refuse_unknown(curvature: str) -> None:
    if curvature not in CURVATURES:
        raise UserError(f"curvature={curvature!r}: accepted are {', '.join(CURVATURES)}.")


def _like(tree: Sequence[tf.Tensor], variables: Sequence[tf.Variable]) -> Tree:
    return [tf.cast(leaf, v.dtype) for leaf, v in zip(tree, variables, strict=True)]
