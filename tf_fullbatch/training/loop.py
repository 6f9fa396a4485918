"""The loops of `fit` and `evaluate` over epochs, steps and callbacks, as Keras' own have them.

Keras' loops would average a batch over replicas to build the network, compile a whole step into one graph and reduce
its results by a mean; all three are wrong for unequal shards. They also give every step a call of its own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from tf_fullbatch.core import keras_internals


def callback_list(
    model: Any,
    callbacks: Sequence[keras.callbacks.Callback] | keras.callbacks.CallbackList | None,
    *,
    verbose: str | int,
    epochs: int,
    steps: int,
    history: bool,
) -> keras.callbacks.CallbackList:
    """Callbacks as Keras takes them, with its progress bar and, for `fit`, its history."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    return keras.callbacks.CallbackList(
        callbacks,
        add_history=history,
        add_progbar=verbose != 0,
        verbose=verbose,
        epochs=epochs,
        steps=steps,
        model=model,
    )


def run_epochs(
    model: Any,
    callbacks: keras.callbacks.CallbackList,
    *,
    initial_epoch: int,
    epochs: int,
    steps_left: Callable[[], int],
    steps_per_epoch: int,
    validate: Callable[[], dict[str, float]] | None,
    validation_freq: int | Sequence[int],
) -> None:
    """Trains epoch after epoch.

    Args:
        model: The model; its `train_step(most)` makes one step or more, at most `most`, and says how many.
        callbacks: The callbacks.
        initial_epoch: Epoch to begin with.
        epochs: Epoch to stop before.
        steps_left: Steps that the present epoch still has. Asked at each step, since callbacks may restore the model
            to another one.
        steps_per_epoch: Steps of a whole epoch.
        validate: Gives the validation's figures; None without validation.
        validation_freq: Epochs between validations, or the epochs (counted from 1) after which to validate.
    """
    model.stop_training = False
    callbacks.on_train_begin()
    logs: dict[str, float] = {}
    for epoch in range(keras_internals.restored_epoch(model) or initial_epoch, epochs):
        model.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        left = steps_left()
        while left > 0:
            begin = steps_per_epoch - left
            callbacks.on_train_batch_begin(begin)
            made, logs = model.train_step(min(left, _until_a_look(callbacks, model)))
            callbacks.on_train_batch_end(begin + made - 1, logs)
            left -= made
            if model.stop_training:
                break
        epoch_logs = dict(logs)
        if validate is not None and _is_due(epoch, validation_freq):
            epoch_logs |= {f"val_{name}": value for name, value in validate().items()}
        callbacks.on_epoch_end(epoch, epoch_logs)
        logs = epoch_logs
        if model.stop_training:
            break
    if epochs > 0:
        model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs)


def run_evaluation(
    callbacks: keras.callbacks.CallbackList, evaluate: Callable[[], dict[str, float]]
) -> dict[str, float]:
    """One evaluation, with the callbacks that follow it."""
    callbacks.on_test_begin()
    callbacks.on_test_batch_begin(0)
    logs = evaluate()
    callbacks.on_test_batch_end(0, logs)
    callbacks.on_test_end(logs)
    return logs


def in_order(logs: dict[str, float], metrics: list[str]) -> list[float] | float:
    """Figures as `keras.Model.evaluate` lists them: the loss, then those of the metrics; the loss alone without any."""
    values = [logs[name] for name in ["loss", *metrics]]
    return values[0] if len(values) == 1 else values


def _is_due(epoch: int, frequency: int | Sequence[int]) -> bool:
    return (epoch + 1) % frequency == 0 if isinstance(frequency, int) else epoch + 1 in frequency


def _until_a_look(callbacks: keras.callbacks.CallbackList, model: Any) -> int:
    """Steps that may be made before a callback must see the model.

    A callback that has `steps_before_a_look(steps_completed)` says so itself; Keras' progress bar does not mind; any
    other one that follows batches sees each.
    """
    most = 2**31 - 1
    for callback in callbacks.callbacks:
        asked = getattr(callback, "steps_before_a_look", None)
        if asked is not None:
            most = min(most, asked(model.steps_completed))
        elif not isinstance(callback, keras.callbacks.ProgbarLogger) and _follows_batches(callback):
            return 1
    return max(most, 1)


def _follows_batches(callback: keras.callbacks.Callback) -> bool:
    names = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
    own = any(getattr(type(callback), name) is not getattr(keras.callbacks.Callback, name) for name in names)
    # keras.callbacks.LambdaCallback sets them on the object.
    return own or any(name in vars(callback) for name in names)
