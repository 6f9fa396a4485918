"""--augmentation=FILE.py:function or package.module:function: random changes by the user's own code."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tf_fullbatch.data.augment.base import AugmentationSettings
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import own_parts, part_names, part_options
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import numpy as np

    from tf_fullbatch.core.micro_batch import Augmentation

_OF_AN_AUGMENTATION = ("inputs", "sample_ids", "epoch")
_TRIED = 8
"""Samples that a function is called with before it is trusted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnAugmentation(AugmentationSettings):
    """A function `(seed, **options)` that returns a function (inputs, sample_ids, epoch) -> inputs; or that itself."""

    augmentation_options: str | None = setting(
        None,
        "Options of an --augmentation that is a function, as --model_options, such as degrees=15.",
        options=True,
    )

    @property
    def options(self) -> dict[str, Any]:
        """The options, by name."""
        return part_options.parsed_options("augmentation", self.augmentation_options)

    def build(self, seed: int) -> None:
        """Not for a model in Python, whose settings are saved with it: code is run where a command names it alone.

        Raises:
            UserError: Always.
        """
        raise UserError(
            "augmentation names code, which a model's settings do not run: give augmentation_function."
        )

    def function(self, value: str, seed: int, inputs: "np.ndarray") -> "Augmentation":
        """What the user's function returns, tried on some samples.

        Args:
            value: Where the function stands.
            seed: Seed of the run.
            inputs: `[samples, ...]`, of the training set.

        Raises:
            UserError: It cannot be had or fails; its result has another shape, differs from call to call, or depends
                on which samples are together.
        """
        if not part_names.source_of("augmentation", value).is_users:
            raise UserError(
                f"--augmentation={value}: Keras has no augmentations of this kind (its random layers draw from a state "
                "of their own: no step could be repeated). Give FILE.py:function with tf.random.stateless_*, or put "
                "the layer into the network."
            )
        made, options = own_parts.function_of("augmentation", value), self.options
        if own_parts.is_part_itself(made, ("seed",), _OF_AN_AUGMENTATION, options):
            augment = functools.partial(made, **options)
        else:
            augment = own_parts.called("augmentation", value, made, {"seed": seed}, options)
        if not callable(augment):
            raise UserError(
                f"--augmentation={value} returned a {type(augment).__name__}: return a function (inputs, sample_ids, "
                "epoch) -> inputs."
            )
        if not hasattr(inputs, "shape"):
            raise UserError(
                f"--augmentation={value} is for a network of one input, but the data set has {len(inputs)}: leave it "
                "out, or augment within the network."
            )
        _try(value, augment, inputs[:_TRIED])
        return augment


def _try(value: str, augment: Any, inputs: "np.ndarray") -> None:
    import numpy as np
    import tensorflow as tf

    def called(rows: slice) -> np.ndarray:
        ids = np.arange(len(inputs), dtype=np.int64)[rows]
        given = {
            "inputs": tf.constant(inputs[rows]),
            "sample_ids": tf.constant(ids),
            "epoch": tf.constant(0, tf.int64),
        }
        return np.asarray(own_parts.called("augmentation", value, augment, given, {}))

    whole, first = called(slice(None)), slice(0, (len(inputs) + 1) // 2)
    if whole.shape != inputs.shape or whole.dtype != inputs.dtype:
        raise UserError(
            f"--augmentation={value} made {whole.dtype}{list(whole.shape)} of {inputs.dtype}{list(inputs.shape)}: "
            "return the same shape and dtype."
        )
    for again, why in (
        (called(slice(None)), "another result when it is called again"),
        (
            np.concatenate([called(first), whole[first.stop :]]),
            "other results where fewer samples are together",
        ),
    ):
        if not np.array_equal(whole, again, equal_nan=whole.dtype.kind == "f"):
            raise UserError(
                f"--augmentation={value} gives {why}, so that no step could be repeated: make each sample's change of "
                "its sample_id, the epoch and the seed alone (tf.random.stateless_*)."
            )
