"""Losses of integer labels: cross-entropy with label smoothing, squared error; what losses take, and are without it."""

from collections.abc import Callable
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.core.names import SMOOTHING_FORMS

BINARY = (keras.losses.binary_crossentropy, keras.losses.binary_focal_crossentropy)
"""Keras' losses of one probability for each output."""


class SparseLoss(keras.losses.Loss):
    """A loss of integer labels, in the precision of the outputs."""

    takes_logits: ClassVar[bool | None] = None
    """Whether the outputs are logits; None where they are numbers that are no probabilities' either."""
    mixes: ClassVar[bool] = False
    """Whether the loss of a mean of two targets is the mean of their losses."""

    def cross_entropy(self) -> "SparseCrossentropy | None":
        """The cross-entropy of the same outputs without label smoothing; None where that has no meaning."""
        return None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """The reduced loss, see `keras.losses.Loss.__call__`."""
        widest = keras.backend.result_type(self.dtype, tf.convert_to_tensor(y_pred).dtype.name, "float32")
        if widest == self.dtype:
            return super().__call__(y_true, y_pred, sample_weight)
        # Keras casts to the loss's own dtype before `call`: float64 outputs need a float64 loss.
        wider = self.from_config({**self.get_config(), "dtype": widest})
        return wider(y_true, y_pred, sample_weight)

    @staticmethod
    def labels(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Labels `[batch]` or `[batch, 1]`, or of every place, as int64 of the shape of the outputs without classes."""
        places = [-1] if y_pred.shape.rank == 2 else tf.shape(y_pred)[:-1]
        return tf.cast(tf.reshape(y_true, places), tf.int64)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "dtype": self.dtype}


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class SparseCrossentropy(SparseLoss):
    """Cross-entropy from logits and integer labels, smoothed over all classes or over the others.

    With C classes, `p = softmax(z)` and smoothing s, the loss of a sample of class y is

        -(1 - s) * log p_y - (s / C) * sum_k log p_k,

    the cross-entropy against `(1 - s) * onehot(y) + s / C`; in the form "others"

        -(1 - s) * log p_y - (s / (C - 1)) * sum_{k != y} log p_k,

    which is the first one with `s C / (C - 1)` for s. It is computed in the logits' precision, in float32 at least, and
    can be differentiated twice, in forward mode too.

    Args:
        label_smoothing: s in [0, 1), the probability that is spread evenly.
        reduction: As in `keras.losses.Loss`; by default the mean of `sample_weight * loss` over the batch.
        name: Name of the loss.
        dtype: Lower bound of the precision, by default `keras.config.floatx()`.
        label_smoothing_form: "uniform", over all C classes, the true one included (Szegedy et al., Keras), or "others",
            over the C - 1 others (the published code of Geiping et al. 2022).

    Raises:
        ValueError: If `label_smoothing` is out of its range, or its form is unknown.

    Source: Szegedy et al. 2016 (arXiv 1512.00567), section 7.
    """

    takes_logits: ClassVar[bool | None] = True
    mixes: ClassVar[bool] = True

    def __init__(
        self,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "sparse_crossentropy",
        dtype: str | None = None,
        label_smoothing_form: str = "uniform",
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}; it must lie in [0, 1).")
        if label_smoothing_form not in SMOOTHING_FORMS:
            raise ValueError(
                f"label_smoothing_form is {label_smoothing_form!r}; accepted are {', '.join(SMOOTHING_FORMS)}."
            )
        self.label_smoothing = label_smoothing
        self.label_smoothing_form = label_smoothing_form

    def cross_entropy(self) -> "SparseCrossentropy":
        """Itself where it has no label smoothing."""
        return (
            self.from_config(self.get_config() | {"label_smoothing": 0.0}) if self.label_smoothing else self
        )

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of every sample.

        Args:
            y_true: `[batch]` or `[batch, 1]`, the class of every sample, 0 to C - 1; or `[batch, ...]`, of every place.
            y_pred: `[batch, classes]` or `[batch, ..., classes]`, logits.

        Returns:
            `[batch]` or `[batch, ...]`, in the dtype of `y_pred`.
        """
        labels = self.labels(y_true, y_pred)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=y_pred)
        if self.label_smoothing == 0:
            return loss
        even = -tf.reduce_mean(tf.nn.log_softmax(y_pred), axis=-1)
        if self.label_smoothing_form == SMOOTHING_FORMS[0]:
            return (1 - self.label_smoothing) * loss + self.label_smoothing * even
        classes = tf.cast(tf.shape(y_pred)[-1], y_pred.dtype)
        over_all = self.label_smoothing * classes / (classes - 1)
        return (1 - over_all) * loss + over_all * even

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "label_smoothing_form": self.label_smoothing_form,
        }


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class SparseSquaredError(SparseLoss):
    """Half the squared distance of outputs from the one-hot targets of integer labels.

    With C classes, outputs z and class y, the loss of a sample is `1/2 sum_k (z_k - [k = y])^2`: summed over the
    classes, not averaged.

    Args:
        reduction: As in `keras.losses.Loss`; by default the mean of `sample_weight * loss` over the batch.
        name: Name of the loss.
        dtype: Precision, by default `keras.config.floatx()`.

    Source: the square loss of Cohen et al. 2021 (arXiv 2103.00065).
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "sparse_squared_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of every sample.

        Args:
            y_true: `[batch]` or `[batch, 1]`, the class of every sample, 0 to C - 1; or `[batch, ...]`, of every place.
            y_pred: `[batch, classes]` or `[batch, ..., classes]`.

        Returns:
            `[batch]` or `[batch, ...]`, in the dtype of `y_pred`.
        """
        targets = tf.one_hot(self.labels(y_true, y_pred), tf.shape(y_pred)[-1], dtype=y_pred.dtype)
        return tf.reduce_sum(tf.square(y_pred - targets), axis=-1) / 2


def takes_class_numbers(loss: Any) -> bool:
    """Whether a loss takes targets as class numbers from 0."""
    return isinstance(loss, SparseLoss | keras.losses.SparseCategoricalCrossentropy)


def takes_logits(loss: Any) -> bool | None:
    """Whether a loss takes logits (True) or probabilities (False); None where neither is said."""
    if isinstance(loss, SparseLoss):
        return loss.takes_logits
    if not isinstance(loss, keras.losses.Loss):
        return None
    return loss.get_config().get("from_logits")


def keras_function(loss: Any) -> Callable | None:
    """The function of `keras.losses` that a stock loss of Keras calls; None of any other loss."""
    of_wrapper = keras.losses.CategoricalCrossentropy.call
    return loss.fn if getattr(type(loss), "call", None) is of_wrapper else None


def link(loss: Any) -> str | None:
    """How the probabilities of a loss are made of the network's outputs.

    Returns:
        "softmax" over classes or "sigmoid" of each output; None where outputs are no logits, or those of a loss that is
        not known.
    """
    if not takes_logits(loss):
        return None
    if isinstance(loss, SparseLoss):
        return "softmax" if loss.cross_entropy() is not None else "sigmoid"
    function = keras_function(loss)
    return "softmax" if function in _OF_CLASSES else "sigmoid" if function in BINARY else None


def without_smoothing(loss: keras.losses.Loss) -> keras.losses.Loss | None:
    """A cross-entropy of classes without its label smoothing, itself where it has none; of a variant of one that of the
    same outputs; None of other losses."""
    if isinstance(loss, SparseLoss):
        return loss.cross_entropy()
    if type(loss) in _CROSS_ENTROPIES:
        config = loss.get_config()
        return (
            type(loss).from_config(config | {"label_smoothing": 0.0})
            if config.get("label_smoothing")
            else loss
        )
    return loss if keras_function(loss) in _FUNCTIONS else None


def mixes_targets(loss: keras.losses.Loss) -> bool:
    """Whether the loss of a mean of two targets is the mean of their losses: those of cross-entropies, of classes and
    binary ones, smoothed or not; not those of their variants."""
    if isinstance(loss, SparseLoss):
        return loss.mixes
    return without_smoothing(loss) is not None


_CROSS_ENTROPIES = (
    keras.losses.SparseCategoricalCrossentropy,
    keras.losses.CategoricalCrossentropy,
    keras.losses.BinaryCrossentropy,
)
_OF_CLASSES = (
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.categorical_crossentropy,
    keras.losses.categorical_focal_crossentropy,
)
_FUNCTIONS = (
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.categorical_crossentropy,
    keras.losses.binary_crossentropy,
)
