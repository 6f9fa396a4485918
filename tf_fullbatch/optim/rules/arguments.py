"""Arguments of Keras' optimizers that have no place in those of this package."""

from typing import Any

_BELONGS_ELSEWHERE = {
    "clipnorm": "FullBatchModel clips the reduced gradient; Keras' argument would clip each replica's",
    "clipvalue": "FullBatchModel clips the reduced gradient, by its norm",
    "global_clipnorm": "FullBatchModel clips the reduced gradient; Keras' argument would clip each replica's",
    "gradient_accumulation_steps": "FullBatchModel sums the micro-batches of a step itself",
    "loss_scale_factor": "FullBatchModel does not scale the loss",
    "use_ema": "a moving average of the weights belongs in a callback of FullBatchModel.fit",
}


def refuse_keras_arguments(optimizer: str, given: dict[str, Any]) -> None:
    """Refuses the first of Keras' arguments that is set.

    Args:
        optimizer: The class's name.
        given: Name -> value; None and False are as if not given.

    Raises:
        ValueError: One is set, or is none of Keras'.
    """
    for argument, value in given.items():
        if argument not in _BELONGS_ELSEWHERE:
            raise ValueError(
                f"{optimizer} got an unknown argument {argument}={value!r}; its docstring lists those it has."
            )
        if value is not None and value is not False:
            raise ValueError(
                f"{optimizer} got {argument}={value!r}, which it does not accept: "
                f"{_BELONGS_ELSEWHERE[argument]}. Leave it unset."
            )
