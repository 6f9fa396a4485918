"""What of a model is saved: everything its next step depends on, under names equal in every process.

Keras numbers names by what else a process has built ("dense_3/kernel"), and the path of a layer depends on
what it was built in. So a variable's name here is its place in its owner's fixed order, for certainty, and
the last parts of its path without those numbers, for the reader:

    network/002/conv/kernel                               weights and BatchNorm statistics
    optimizer/000/gradient_descent/iteration              steps, learning rate
    optimizer/004/gradient_descent/conv/kernel/momentum   buffers, by the weight they belong to
    ema/002/conv/kernel, ema/updates                      the exponential average of the weights, if there is one
    swa/002/conv/kernel, swa/updates, swa/calibrated      the uniform one
    measures/sharpness/largest                            what measures keep: not of the training, see `of_measures`

Seeds of dropout and the like are left out: `NetworkState` derives them anew from (seed, step, micro-batch).
So are the means a progress line shows, which begin anew with each epoch.
"""

import re
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from tf_fullbatch.errors import UserError
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.weight_average import WeightAverage

_OF_MEASURES = "measures/"


def of_measures(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a checkpoint has of measures, under the names that they gave."""
    return {
        name.removeprefix(_OF_MEASURES): array
        for name, array in arrays.items()
        if name.startswith(_OF_MEASURES)
    }


def with_measures(arrays: Mapping[str, np.ndarray], kept: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a checkpoint has: a training's arrays, and what measures keep."""
    return {**arrays, **{f"{_OF_MEASURES}{name}": array for name, array in kept.items()}}


class TrainingState:
    """Takes a snapshot of a training and puts it back.

    Args:
        model: A compiled model whose network is built, and its optimizer as well, in the strategy's scope:
            `model.optimizer.build(model.network.trainable_variables)`.
        average: The average of weights that is part of the state, if any.

    Raises:
        ValueError: The network or the optimizer is not built.
    """

    def __init__(self, model: FullBatchModel, average: WeightAverage | None = None):
        optimizer = getattr(model, "optimizer", None)  # Keras sets it in compile()
        if not (model.network.built and optimizer is not None and optimizer.built):
            raise ValueError(
                "A training's state needs a built network and optimizer: call compile(), then, in the scope "
                "of the strategy, network.build(shape) and optimizer.build(network.trainable_variables)."
            )
        self._strategy = model.distribute_strategy
        self._average = average
        self._variables = _named_variables(model, average)

    @property
    def names(self) -> list[str]:
        """The names of the arrays."""
        return list(self._variables)

    def capture(self) -> dict[str, np.ndarray]:
        """A copy of every variable's value, from the first replica of this process.

        Raises:
            RuntimeError: Inside `WeightAverage.applied`, where the network holds other weights than its own.
        """
        self._refuse_while_swapped("saved")
        return {name: np.array(v.value.numpy()) for name, v in self._variables.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Assigns every variable on every replica; nothing where a single array does not fit.

        Args:
            arrays: What `capture` returned, for a model, optimizer and average of the same make; what there is of
                measures is left alone.

        Raises:
            UserError: Arrays are missing, unknown, or of another shape or dtype.
            RuntimeError: Inside `WeightAverage.applied`.
        """
        self._refuse_while_swapped("restored")
        arrays = {name: array for name, array in arrays.items() if not name.startswith(_OF_MEASURES)}
        self._check(arrays)
        with self._strategy.scope():
            for name, variable in self._variables.items():
                variable.assign(arrays[name])

    def _check(self, arrays: Mapping[str, np.ndarray]) -> None:
        problems = {
            "it lacks": [name for name in self._variables if name not in arrays],
            "it alone has": [name for name in arrays if name not in self._variables],
            "it differs in": [
                f"{name} ({arrays[name].dtype.name} {arrays[name].shape} for {variable.dtype} {shape})"
                for name, variable in self._variables.items()
                if name in arrays
                and (variable.dtype, shape := tuple(variable.shape))
                != (arrays[name].dtype.name, arrays[name].shape)
            ],
        }
        found = [f"{text} {_shortened(names)}" for text, names in problems.items() if names]
        if found:
            raise UserError(
                f"the checkpoint does not fit the model: {'; '.join(found)}. Use the model, optimizer and "
                "averaging it was saved with, or choose another --output_dir."
            )

    def _refuse_while_swapped(self, action: str) -> None:
        if self._average is not None and self._average.swapped:
            raise RuntimeError(f"The network holds its averages: it can be {action} outside applied() only.")


def restore_network(network: keras.Model, arrays: Mapping[str, np.ndarray]) -> bool:
    """Assigns a network the weights that a training's snapshot has of it, and nothing else of it.

    Args:
        network: A built network.
        arrays: What `TrainingState.capture` returned.

    Returns:
        False where they are of another network; nothing is assigned then.
    """
    named = _named_weights(network)
    there = {name: array.shape for name, array in arrays.items() if name.startswith("network/")}
    if there != {name: tuple(v.shape) for name, v in named.items()}:
        return False
    for name, variable in named.items():
        variable.assign(arrays[name])
    return True


def trainable_weights(network: keras.Model, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The values of a network's trainable weights, in their order, that a training's snapshot has.

    Args:
        network: A built network.
        arrays: What `TrainingState.capture` returned.

    Raises:
        UserError: They are of another network.
    """
    names = {id(v): name for name, v in _named_weights(network).items()}
    found = [arrays.get(names[id(v)]) for v in network.trainable_weights]
    values = [array for array in found if array is not None]
    if [a.shape for a in values] != [tuple(v.shape) for v in network.trainable_weights]:
        raise UserError("the checkpoint is of another network: its weights are others.")
    return values


def _named_weights(network: keras.Model) -> dict[str, keras.Variable]:
    # `weights` is `variables` without the seeds.
    return {f"network/{i:03d}/{_label(v)}": v for i, v in enumerate(network.weights)}


def _named_variables(model: FullBatchModel, average: WeightAverage | None) -> dict[str, keras.Variable]:
    weights = list(model.network.weights)
    named = _named_weights(model.network)
    labels = {id(v): name.removeprefix("network/") for name, v in named.items()}
    for i, variable in enumerate(model.optimizer.variables):
        named[f"optimizer/{i:03d}/{_optimizer_label(variable, weights)}"] = variable
    if average is not None:
        for variable, mean in zip(average.averaged, average.averages, strict=True):
            named[f"{average.kind}/{labels[id(variable)]}"] = mean
        named[f"{average.kind}/updates"] = average.updates
        if average.calibrated is not None:
            named[f"{average.kind}/calibrated"] = average.calibrated
    return named


def _label(variable: keras.Variable) -> str:
    """The last two parts of a variable's path, without trailing numbers: its layer and what it is there."""
    return "/".join(re.sub(r"_\d+$", "", part) for part in variable.path.split("/")[-2:])


def _optimizer_label(variable: keras.Variable, weights: Sequence[keras.Variable]) -> str:
    """Optimizer and role of a variable, and between them the label of the weight it was made for."""
    optimizer = re.sub(r"_\d+$", "", variable.path.split("/")[0])
    owners = [v for v in weights if variable.name.startswith(_flat(v) + "_")]
    if not owners:
        return f"{optimizer}/{variable.name}"
    owner = max(owners, key=lambda v: len(v.path))
    return f"{optimizer}/{_label(owner)}/{variable.name.removeprefix(_flat(owner) + '_')}"


def _flat(variable: keras.Variable) -> str:
    """How Keras optimizers write a weight's path in the names of their own variables."""
    return variable.path.replace("/", "_")


def _shortened(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
