"""The objective of one update batch, frozen: its loss, gradient and curvature at any parameters."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tf_fullbatch.core.audit import refuse_assigned_weights
from tf_fullbatch.core.curvature import CURVATURES, hessian_derivative, penalised_hessian_product
from tf_fullbatch.core.full_pass import FullPass
from tf_fullbatch.core.kernels import Change, GradientKernel, LossKernel, MicroBatchFigures, ProductKernel
from tf_fullbatch.core.micro_batch import MicroBatchLoss, StepScalars
from tf_fullbatch.core.names import STATISTICS
from tf_fullbatch.core.operators import CurvatureOperator
from tf_fullbatch.core.parameters import Parameters
from tf_fullbatch.core.passes import Kernel, PassMeans, Source
from tf_fullbatch.core.penalties import Penalty, penalty_value
from tf_fullbatch.core.step_passes import PassMaker, RecalibratedPasses, StepPasses
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError

FORWARD_EVALUATIONS = 1 / 3
"""Gradient evaluations that a forward pass alone counts for."""
PRODUCT_EVALUATIONS = 2
"""Gradient evaluations that an exact product counts for, the gradient on its way included."""
THIRD_EVALUATIONS = 4
"""Gradient evaluations that a product of third derivatives counts for: twice a product's."""
MOST_AT_ONCE = 4
"""Most products of one pass: more gain little, and a compiled pass keeps the sums of all of its products."""


class Point(NamedTuple):
    """Loss and gradient of an update batch at some parameters.

    Attributes:
        loss: Scalar, without the penalty.
        gradient: Tree in the variables' dtypes, of `g + (lr / 4) mean_b H_b v_b`; of the loss itself without a penalty.
        penalty: Scalar, what the penalty adds to the loss.
        accuracy: Scalar; 0 where it has no meaning.
        mean_squared_norm: Scalar, the mean over micro-batches of `|g_b|^2`.
        means: All that the pass measured, `GradientMeans` and `SampleMeans`.
    """

    loss: tf.Tensor
    gradient: Tree
    penalty: tf.Tensor
    accuracy: tf.Tensor
    mean_squared_norm: tf.Tensor
    means: PassMeans | None = None


class Objective:
    """Answers questions about one update batch at any parameters, over all samples and replicas.

    Samples, augmentation and dropout are fixed: those of one step of one epoch, so it is one deterministic function
    as long as the network's non-trainable variables stay as they are (a layer may read them; training moves them). By
    default it is the function that training descends: batch normalisation takes the statistics of each micro-batch,
    dropout drops. Noise, clipping and weight decay are not part of it. Nothing is assigned: neither weights nor moving
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
        statistics: What batch normalisation normalises by: "batch", each micro-batch's own statistics, as in training;
            "frozen", the moving averages, the network being in inference; "recalibrated", in inference too, the mean
            over the set of the micro-batches' statistics at the very parameters asked about, which derivatives take as
            constants and which costs a forward pass more for each new point.
        stopped_by: Asked before each call; says who or what asks for a stop, or None to go on.
        penalty: What training adds to the loss; questions take it only where they are asked with it.
        passes: Compiled passes, shared by objectives of the same loss, statistics and number of micro-batches;
            None for its own.

    Attributes:
        statistics: As given.
        penalty: As given.
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
        *,
        statistics: str = "batch",
        stopped_by: Callable[[], str | None] = lambda: None,
        penalty: Penalty | None = None,
        passes: dict[tuple, FullPass] | None = None,
    ):
        if statistics not in STATISTICS:
            raise UserError(f"statistics={statistics!r}: accepted are {', '.join(STATISTICS)}.")
        self.statistics, self.penalty = statistics, penalty
        in_training = loss if keep_noise else loss.without_noise()
        self._loss = in_training if statistics == "batch" else in_training.in_inference()
        self._parameters = Parameters(self._loss.call.weights)
        self._scalars = scalars
        self._refuse_inexact = refuse_inexact
        self._passes = StepPasses(
            make_pass, source, step, scalars, micro_batches, stopped_by, {} if passes is None else passes
        )
        self._recalibrated = (
            RecalibratedPasses(self._passes, in_training) if statistics == "recalibrated" else None
        )
        self.evaluations = 0.0

    def __repr__(self) -> str:
        """How much there is of it."""
        variables = f"{self._parameters.count:,} parameters in {len(self.variables)} variables"
        return f"<Objective of {variables}, {self._passes.micro_batches} micro-batches>"

    @property
    def variables(self) -> list[tf.Variable]:
        """The trainable variables whose values theta lists, in order."""
        return list(self._parameters.variables)

    def theta(self) -> Tree:
        """The variables' present values."""
        return self._parameters.values()

    def recalibrated_state(self) -> Tree:
        """Values of the network's non-trainable variables with the statistics of the present weights; of
        `statistics="recalibrated"`.
        """
        assert self._recalibrated is not None
        return self._recalibrated.state(self.theta())

    def loss(self, theta: Sequence[tf.Tensor] | None = None) -> tf.Tensor:
        """The mean training loss, by forward passes alone; a third of a gradient evaluation.

        Args:
            theta: Tree, one array or tensor per trainable variable; None for the present weights.

        Raises:
            UserError: theta does not fit the variables, or the network assigns weights when it is called.
        """
        means = self._run(("loss",), lambda: LossKernel(self._loss), theta)
        self._spend(FORWARD_EVALUATIONS)
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
        self._spend(1 if penalty is None else penalty.gradient_evaluations)
        square = means.weighted.squared_norm
        nothing = tf.zeros([], self._scalars.learning_rate.dtype)
        added = nothing if penalty is None else penalty_value(self._scalars, square, whole)
        gradient = self._parameters.like(means.weighted.gradient)
        return Point(means.weighted.loss, gradient, added, means.sampled.accuracy, square, means)

    def hvp(
        self,
        theta: Sequence[tf.Tensor] | None,
        v: Sequence[tf.Tensor],
        curvature: str = "hessian",
        penalty: Penalty | None = None,
    ) -> Tree:
        """An exact product of the loss's curvature with a direction, whatever penalty a run has.

        Args:
            theta: Tree, a list of arrays or tensors with the shapes of the network's `trainable_variables`, in their
                order (`objective.variables`; `objective.theta()` gives their values); None for the present weights.
            v: Tree, the direction, such a list too; `linear_operator` takes a vector of all numbers instead.
            curvature: "hessian", `H v`, or "ggn", `J^T H_L J v` (the generalised Gauss-Newton matrix).
            penalty: An exact gradient penalty with this step's strength and rate: then the Hessian is that of the
                penalised loss, the Jacobian of the gradient that is descended. It counts four gradient evaluations.

        Returns:
            Tree in the variables' dtypes.

        Raises:
            UserError: theta or v does not fit the variables, the curvature is unknown, or the network has none; the
                penalty is none whose gradient is a gradient of anything, or is one on the whole gradient.
        """
        _refuse_unknown(curvature)
        return self._products(theta, [self._parameters.tree("v", v)], curvature, penalty)[0]

    def hvps(
        self,
        theta: Sequence[tf.Tensor] | None,
        directions: Sequence[Sequence[tf.Tensor]],
        curvature: str = "hessian",
        penalty: Penalty | None = None,
    ) -> list[Tree]:
        """Products with several directions, up to four in one pass, which share what does not depend on them.

        They count as many gradient evaluations as by `hvp` one by one, and take less time.

        Args:
            theta: As of `hvp`.
            directions: Trees.
            curvature: As of `hvp`.
            penalty: As of `hvp`.

        Returns:
            A tree of each direction, in the variables' dtypes.

        Raises:
            UserError: As of `hvp`.
        """
        _refuse_unknown(curvature)
        rest = [self._parameters.tree(f"directions[{i}]", v) for i, v in enumerate(directions)]
        found: list[Tree] = []
        while rest:
            # Powers of two, so that few passes are compiled.
            count = min(1 << (len(rest).bit_length() - 1), MOST_AT_ONCE)
            block, rest = rest[:count], rest[count:]
            found += self._products(theta, block, curvature, penalty)
        return found

    def hessian_derivative(
        self, theta: Sequence[tf.Tensor] | None, u: Sequence[tf.Tensor], v: Sequence[tf.Tensor]
    ) -> Tree:
        """The gradient of `u^T H(theta) v` in theta, u and v held fixed: a product of third derivatives.

        Args:
            theta: Tree, one array or tensor per trainable variable; None for the present weights.
            u: Tree, a direction.
            v: Tree, a direction.

        Raises:
            UserError: theta, u or v does not fit the variables, or the network has no exact products.
        """
        kernel = self._product_kernel(hessian_derivative)
        means = self._run(
            ("third",), kernel, theta, self._parameters.tree("u", u), self._parameters.tree("v", v)
        )
        self._spend(THIRD_EVALUATIONS)
        return self._parameters.like(means.weighted)

    def linear_operator(
        self,
        theta: Sequence[tf.Tensor] | None = None,
        curvature: str = "hessian",
        penalty: Penalty | None = None,
        variables: Sequence[tf.Variable] | None = None,
    ) -> CurvatureOperator:
        """The curvature as a symmetric SciPy operator on vectors of all parameters, one leaf after the other.

        `scipy.sparse.linalg.eigsh(operator, k=3, which="LA")` gives its largest eigenvalues; each product is a pass
        over the set.

        Args:
            theta: Tree, one array or tensor per trainable variable; None for the present weights.
            curvature: "hessian" or "ggn".
            penalty: As of `hvp`.
            variables: Some of `objective.variables`: the block of the matrix that is theirs alone. None for all.

        Raises:
            UserError: theta does not fit the variables, or the curvature is unknown; `variables` has others.
        """
        _refuse_unknown(curvature)
        if penalty is not None:
            self._refuse_asymmetric(penalty, curvature)
        at = self.theta() if theta is None else self._parameters.tree("theta", theta)
        only = None if variables is None else self._parameters.positions(variables)
        return CurvatureOperator(lambda v: self.hvps(at, v, curvature, penalty), self.variables, only)

    def micro_batches(
        self,
        theta: Sequence[tf.Tensor] | None = None,
        penalty: Change | None = None,
        full_gradient: Sequence[tf.Tensor] | None = None,
    ) -> MicroBatchFigures:
        """Figures of each micro-batch by itself, arrays of one number per micro-batch.

        Args:
            theta: Tree, one array or tensor per trainable variable; None for the present weights.
            penalty: Penalty, or perturbation, whose gradient is looked at; None for none.
            full_gradient: Tree, the whole update batch's gradient, where a penalty needs it.

        Raises:
            UserError: theta does not fit the variables, or the network assigns weights when it is called.
        """
        means = self._run(
            ("micro-batches", penalty),
            lambda: GradientKernel(self._loss, penalty, each=True),
            theta,
            None if full_gradient is None else list(full_gradient),
        )
        self._spend(1 if penalty is None else penalty.gradient_evaluations)
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
        self._spend(evaluations)
        return means

    def _products(
        self,
        theta: Sequence[tf.Tensor] | None,
        directions: Sequence[Tree],
        curvature: str,
        penalty: Penalty | None,
    ) -> list[Tree]:
        """The products with all directions, in one pass."""
        if penalty is not None:
            self._refuse_asymmetric(penalty, curvature)
        count, size = len(directions), len(self.variables)
        product = CURVATURES[curvature] if penalty is None else penalised_hessian_product
        means = self._run(
            ("product", product, count), self._product_kernel(product, count), theta, *directions
        )
        self._spend(count * (PRODUCT_EVALUATIONS if penalty is None else THIRD_EVALUATIONS))
        cut = [means.weighted[i * size : (i + 1) * size] for i in range(count)]
        return [self._parameters.like(tree) for tree in cut]

    def _product_kernel(self, product: Callable, count: int = 1) -> Callable[[], ProductKernel]:
        def kernel() -> ProductKernel:
            self._refuse_inexact()
            refuse_assigned_weights(self._loss.call)
            return ProductKernel(self._loss, product, count)

        return kernel

    def _refuse_asymmetric(self, penalty: Penalty, curvature: str) -> None:
        """Refuses a penalty whose gradient has no symmetric Jacobian that can be had by micro-batches."""
        if curvature != "hessian":
            raise UserError(
                f"curvature={curvature!r} with a penalty: the penalised loss has its Hessian alone."
            )
        if not penalty.exact:
            raise UserError(
                f"penalty={penalty.name!r} has no symmetric curvature: differences are no gradient of anything. "
                "Take an exact penalty, such as nested_tape, or none."
            )
        if float(self._scalars.full_penalty):
            raise UserError(
                "the penalty on the whole gradient has a curvature that is no mean over micro-batches: ask for the "
                "loss's own."
            )

    def _run(
        self,
        key: tuple,
        kernel: Callable[[], Kernel],
        theta: Sequence[tf.Tensor] | None,
        *extra: object,
    ) -> PassMeans:
        at = None
        if theta is not None:
            refuse_assigned_weights(self._loss.call)
            at = self._parameters.tree("theta", theta)
        if self._recalibrated is None:
            return self._passes.run(key, kernel, at, *extra)
        before = self._recalibrated.calibrations
        means = self._recalibrated.run(key, kernel, self.theta() if at is None else at, *extra)
        self._spend(FORWARD_EVALUATIONS * (self._recalibrated.calibrations - before))
        return means

    def _spend(self, evaluations: float) -> None:
        """Counts gradient evaluations of each input that the network is called on."""
        self.evaluations += self._loss.copies * evaluations


def _refuse_unknown(curvature: str) -> None:
    if curvature not in CURVATURES:
        raise UserError(f"curvature={curvature!r}: accepted are {', '.join(CURVATURES)}.")
