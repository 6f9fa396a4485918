"""The objective of any Keras model on any samples."""

from typing import Any

import keras

from tf_fullbatch.core.objective import Objective
from tf_fullbatch.errors import UserError, in_pythons_words
from tf_fullbatch.training.full_batch_model import FullBatchModel


@in_pythons_words()
def objective_of(
    network: keras.Model,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    loss: Any = None,
    statistics: str = "batch",
    **settings: Any,
) -> Objective:
    """Loss, gradient and curvature of a Keras model on a data set, at its weights or any others.

        objective = tf_fullbatch.objective_of(network, images, labels, loss=keras.losses.MeanSquaredError())
        pairs = tf_fullbatch.analysis.eigenvalues.eigenpairs(objective.linear_operator(), k=3)

    Nothing is trained, and the network is left as it is.

    Args:
        network: A Keras model; where it is a `FullBatchModel`, use its own method `objective`.
        x: Inputs, as `FullBatchModel.fit` takes them.
        y: Targets.
        sample_weight: As for `fit`.
        loss: A Keras loss; None for the one that the network is compiled with.
        statistics: What batch normalisation normalises by, "batch", "frozen" or "recalibrated", see `Objective`.
        **settings: Of `FullBatchModel`: `micro_batch_size`, `augmentation`, `seed`, ...

    Raises:
        UserError: There is no loss, or the network has what no pure function can be made of.
    """
    chosen = getattr(network, "loss", None) if loss is None else loss
    if chosen is None:
        raise UserError("loss is missing: the network is not compiled, so give its loss.")
    return compiled_around(network, chosen, **settings).objective(x, y, sample_weight, statistics=statistics)


def compiled_around(
    network: keras.Model,
    loss: Any,
    optimizer: keras.optimizers.Optimizer | None = None,
    **settings: Any,
) -> FullBatchModel:
    """A compiled `FullBatchModel` of a network, whose own state of compilation stays as it is."""
    around = FullBatchModel(network, **settings)
    around.compile(optimizer=keras.optimizers.SGD() if optimizer is None else optimizer, loss=loss)
    return around
