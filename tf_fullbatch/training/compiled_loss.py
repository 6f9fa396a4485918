"""The losses given to `compile`, one per output of the network, as a loss per sample of each."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.core import keras_internals
from tf_fullbatch.core.accuracy import correct_by
from tf_fullbatch.core.losses import SparseLoss, mixes_targets, without_smoothing
from tf_fullbatch.core.training_loss import OutputLoss, SampleLoss, TrainingLoss
from tf_fullbatch.errors import UserError


def output_names(network: keras.Model, outputs: Any) -> list[str]:
    """Names of a network's outputs, in the order in which Keras lists them.

    Args:
        network: The network.
        outputs: Its outputs, of one batch or symbolic.

    Raises:
        UserError: Structures within structures.
    """
    if isinstance(outputs, Mapping):
        parts = list(outputs.values())
    else:
        parts = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    if any(tf.nest.is_nested(part) for part in parts):
        raise UserError(
            f"The network {network.name!r} returns a structure within a structure: let it return one tensor, a list, a "
            "tuple or a dictionary of tensors."
        )
    if isinstance(outputs, Mapping):
        return sorted(outputs)
    named = list(getattr(network, "output_names", None) or [])
    if len(named) != len(parts) or len(set(named)) != len(named):
        named = [f"output_{i + 1}" for i in range(len(parts))] if len(parts) != 1 else ["output"]
    return named


def training_loss(model: keras.Model, network: keras.Model, targets: Any, outputs: Any) -> TrainingLoss:
    """The compiled losses of a network's outputs.

    Args:
        model: Compiled.
        network: Whose outputs they are of.
        targets: Specs of a batch of targets.
        outputs: The network's symbolic outputs.

    Raises:
        UserError: A loss is missing, does not reduce by a mean, or has its own `__call__`; losses, weights or targets
            that do not fit the outputs.
    """
    names = output_names(network, outputs)
    losses = _of_each("loss", model.loss, names)
    if all(loss is None for loss in losses):
        raise UserError(
            "compile() needs a loss (a name, a function or a keras.losses.Loss; of several outputs a list or a "
            f"dictionary of them); it got {model.loss!r}."
        )
    factors = _of_each("loss_weights", keras_internals.loss_weights(model), names)
    like = TrainingLoss(
        {
            name: None if loss is None else OutputLoss(tf.zeros_like)
            for name, loss in zip(names, losses, strict=True)
        }
    )
    flat_targets = like.leaves(targets, "targets", partial=True)
    flat_outputs = like.leaves(outputs, "outputs")
    found: dict[str, OutputLoss | None] = {}
    for name, loss, factor, target, output in zip(
        names, losses, factors, flat_targets, flat_outputs, strict=True
    ):
        if loss is None:
            found[name] = None
        else:
            resolved = _resolved(loss, target, output)
            _refuse_other_shapes(resolved, target, output)
            _refuse_other_losses(resolved, target, output)
            by_weights = resolved.reduction == "mean_with_sample_weight"
            weight = None if factor is None else float(factor)
            function, plain = _sample_loss(resolved), without_smoothing(resolved)
            if plain is not None:
                plain = function if plain is resolved else _sample_loss(plain)
            correct = correct_by(resolved, target, output)
            found[name] = OutputLoss(
                function, weight, by_weights, resolved.name, plain, correct, mixes_targets(resolved)
            )
    return TrainingLoss(found)


def figure_names(
    model: keras.Model, network: keras.Model, loss: TrainingLoss, outputs: Any
) -> dict[str, str]:
    """Output -> the name of its loss among the figures, in Keras' order; none of an only loss."""
    names = loss.names
    if len(names) == 1:
        return {}
    if isinstance(model.loss, Mapping) and isinstance(outputs, Mapping):
        names = [name for name in model.loss if name in names]
    elif isinstance(outputs, Mapping):
        names = [name for name in outputs if name in names]
    own = [loss.losses[name].name for name in names]  # type: ignore[union-attr]  # those that have one
    if isinstance(outputs, Mapping) or getattr(network, "output_names", None) or len(set(own)) < len(own):
        own = list(names)
    return {name: f"{shown}_loss" for name, shown in zip(names, own, strict=True)}


def classes(model: keras.Model, loss: TrainingLoss, outputs: Any) -> dict[str, tuple[int | None, int | None]]:
    """Output -> (C, ignored class) where its loss takes class numbers below C (`data.checks.check_targets`)."""
    names = list(loss.losses)
    flat = zip(names, _of_each("loss", model.loss, names), loss.leaves(outputs, "outputs"), strict=True)
    return {name: _classes_of(given, output) for name, given, output in flat if given is not None}


def _classes_of(loss: Any, outputs: keras.KerasTensor) -> tuple[int | None, int | None]:
    if isinstance(loss, str) and loss.lower() in ("crossentropy", "ce"):
        return None, None
    loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
        return outputs.shape[-1], loss.get_config().get("ignore_class")
    if isinstance(loss, SparseLoss) or loss is keras.losses.sparse_categorical_crossentropy:
        return outputs.shape[-1], None
    return None, None


def _of_each(what: str, given: Any, names: list[str]) -> list[Any]:
    """What an argument of `compile` says for each output: one for all, a list in their order, or by name.

    Raises:
        UserError: It does not fit the outputs.
    """
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if not unknown:
            return [given.get(name) for name in names]
        wrong = f"names {', '.join(map(repr, unknown))}"
    elif isinstance(given, list | tuple):
        if len(given) == len(names):
            return list(given)
        wrong = f"has {len(given)} entries"
    else:
        return [given] * len(names)
    raise UserError(
        f"compile()'s {what} {wrong}, but the network has the output(s) {', '.join(map(repr, names))}: give one entry "
        "per output, in their order or by name."
    )


def _resolved(loss: Any, target: Any, output: Any) -> keras.losses.Loss:
    if not isinstance(loss, str | keras.losses.Loss | Callable):
        raise UserError(
            f"compile() needs a loss per output (a name, a function or a keras.losses.Loss); it got {loss!r}."
        )
    resolved = keras_internals.resolved_loss(loss, target, output)
    if resolved.reduction in ("sum", "none", None):
        how = "reduces by a sum" if resolved.reduction == "sum" else "does not reduce (reduction=None)"
        raise UserError(
            f"The loss {resolved.name!r} {how}, but the full-batch gradient is a mean over samples: "
            "use reduction='sum_over_batch_size'."
        )
    if type(resolved).__call__ not in (keras.losses.Loss.__call__, SparseLoss.__call__):
        raise UserError(
            f"The loss {resolved.name!r} ({type(resolved).__name__}) has a __call__ of its own, which steps of "
            "micro-batches would not use: override call(), which returns a loss per sample."
        )
    return resolved


_LIKE = 0.01
"""How far, relatively, a sum may be off, in half precision too."""
_OF_CLASS_NUMBERS = frozenset(
    ("sparse_categorical_crossentropy", "ctc", "circle", "categorical_generalized_cross_entropy")
)
"""Keras' losses whose targets have another shape than the outputs."""


def _refuse_other_shapes(loss: keras.losses.Loss, target: Any, output: Any) -> None:
    """Refuses targets that one of Keras' losses would broadcast against the outputs, each with every one."""
    function: Any = getattr(loss, "fn", None)
    wanted, given = list(output.shape), list(target.shape)
    if isinstance(loss, SparseLoss | keras.losses.SparseCategoricalCrossentropy):
        places = given[:-1] if len(given) == len(wanted) and given[-1] == 1 else given
        if len(places) != len(wanted) - 1:
            raise UserError(
                f"The targets have the shape {_shown(target.shape)}, the outputs {_shown(output.shape)}, and the loss "
                f"{loss.name!r} takes one class number per sample or place: give np.argmax(y, axis=-1) of one-hot "
                "targets, or use CategoricalCrossentropy."
            )
        return
    of_keras = function is not None and function.__module__.startswith("keras.")
    if not of_keras or function.__name__ in _OF_CLASS_NUMBERS:
        return
    for shape, other in ((wanted, given), (given, wanted)):
        if len(shape) == len(other) + 1 and shape[-1] == 1:
            shape.pop()
    alike = len(wanted) == len(given) and all(
        a == b or None in (a, b) for a, b in zip(wanted, given, strict=True)
    )
    if not alike:
        raise UserError(
            f"The targets have the shape {_shown(target.shape)}, the outputs {_shown(output.shape)}, and the loss "
            f"{loss.name!r} takes both alike: give the network as many outputs as there are targets, or use a loss of "
            "class numbers, such as SparseCategoricalCrossentropy."
        )


def _refuse_other_losses(loss: keras.losses.Loss, target: Any, output: Any) -> None:
    """Refuses a loss of the user's own that is no tensor, the sum of its samples' losses, or one number per pair of
    samples, as `targets - outputs` of `[samples]` and `[samples, 1]` is, silently."""
    function: Any = getattr(loss, "fn", loss.call)
    sizes = [*target.shape[1:], *output.shape[1:]]
    if function.__module__.startswith(("keras.", "tf_fullbatch.")) or None in sizes:
        return
    samples = next(size for size in (5, 7, 11, 13) if size not in sizes)
    zeros = [tf.zeros([samples, *part.shape[1:]], output.dtype) for part in (target, output)]
    try:
        losses = loss.call(*zeros)
    except Exception:  # it is the user's, and comes again where the loss is traced
        return
    if losses is None:
        raise UserError(f"The loss {loss.name!r} returns nothing: return one number per sample, [samples].")
    if not tf.is_tensor(losses):
        raise UserError(
            f"The loss {loss.name!r} returns no tensor ({type(losses).__name__}), and so has no gradient: return one "
            "number per sample, [samples]."
        )
    if losses.shape.rank == 0 and _adds_up(loss, target, output):
        raise UserError(
            f"The loss {loss.name!r} returns the sum of its samples' losses, but the full-batch gradient is a mean "
            "over samples: return one number per sample, [samples], or their mean."
        )
    if losses.shape.rank > 1 and samples in losses.shape[1:]:
        raise UserError(
            f"The loss {loss.name!r} of targets {_shown(target.shape)} and outputs {_shown(output.shape)} gives "
            f"{losses.shape.as_list()} numbers for {samples} samples, one per pair of them: bring both to one shape "
            "within, for instance by tf.squeeze(outputs, -1)."
        )


def _adds_up(loss: keras.losses.Loss, target: Any, output: Any) -> bool:
    """Whether the loss of samples together is the sum of those of their halves."""
    shape = [4, *output.shape[1:]]
    outputs = tf.random.stateless_uniform(shape, (0, 0), 0.1, 0.9, tf.float32)
    targets = tf.zeros([4, *target.shape[1:]], output.dtype)
    try:
        whole, *halves = (
            float(loss.call(targets[part], tf.cast(outputs[part], output.dtype)))
            for part in (slice(4), slice(2), slice(2, 4))
        )
    except Exception:  # it is the user's, and comes again where the loss is traced
        return False
    return abs(whole) > 0 and abs(whole - sum(halves)) < _LIKE * abs(whole)


def _shown(shape: Any) -> str:
    return f"[{', '.join('samples' if i == 0 else str(size) for i, size in enumerate(shape))}]"


def _sample_loss(loss: keras.losses.Loss) -> SampleLoss:
    """One loss per sample, of targets cast to the outputs' dtype; or one number for the micro-batch as a whole."""
    return lambda targets, outputs: loss.call(tf.cast(targets, outputs.dtype), outputs)
