"""From a configuration to its parts: devices, data, network, compiled model, and the state of a training."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import optree
import tensorflow as tf

from tf_fullbatch.config.run import FILE_SETTINGS, Config
from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core.losses import takes_class_numbers, takes_logits
from tf_fullbatch.data.augment.own import OwnAugmentation
from tf_fullbatch.data.input_statistics import input_statistics
from tf_fullbatch.data.sources.dataset import Split
from tf_fullbatch.errors import RunError, UserError
from tf_fullbatch.models.build import is_users_network, network_of
from tf_fullbatch.models.own import Expected
from tf_fullbatch.models.text import TEXT_NETWORKS, TextNetwork
from tf_fullbatch.optim.keras_schedule import EpochSchedule
from tf_fullbatch.optim.rules.gradient_descent import undecayed_variables
from tf_fullbatch.records.checkpoints import Checkpoint
from tf_fullbatch.run import devices
from tf_fullbatch.run.initial_weights import load_initial_weights
from tf_fullbatch.run.splits import Splits, load_splits, training_batches
from tf_fullbatch.settings import own_parts
from tf_fullbatch.training.beginning import ModelBeginning, refuse_measures
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.goals import refuse_goals
from tf_fullbatch.training.state import TrainingState
from tf_fullbatch.training.weight_average import WeightAverage


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything that a configuration names, made.

    Attributes:
        strategy: Where the variables live.
        splits: The data.
        model: The compiled model.
        average: The average of its weights; None without --ema_decay and --swa_start_epoch.
        state: What a checkpoint of them holds.
    """

    strategy: tf.distribute.Strategy
    splits: Splits
    model: FullBatchModel
    average: WeightAverage | None
    state: TrainingState


def assemble(
    config: Config,
    strategy: tf.distribute.Strategy,
    checkpoint: Checkpoint | None = None,
    splits: Splits | None = None,
) -> Assembly:
    """Sets the precision, loads the data, and builds the model, restored where there is a checkpoint.

    Args:
        config: The run.
        strategy: Where variables live.
        checkpoint: What the model is restored from.
        splits: The data, where they are not to be loaded.

    Raises:
        UserError: Something that the configuration names is not to be had or does not fit.
    """
    devices.set_precision(config.runtime.dtype_policy)
    if config.runtime.deterministic:
        devices.make_deterministic(config.step.seed)
    splits = splits or load_splits(config)
    if checkpoint is not None:  # it has its own weights; the initial ones may be gone
        config = config.replacing(initial_weights=None, step=None)
    model = build_model(config, splits.train, strategy)
    average = _average(config, model, splits.train)
    state = TrainingState(model, average)
    if checkpoint is not None:
        state.restore(checkpoint.arrays)
    return Assembly(strategy, splits, model, average, state)


def _average(config: Config, model: FullBatchModel, train: Split) -> WeightAverage | None:
    """The average of the weights that is asked for.

    Raises:
        UserError: The network's statistics cannot be recomputed at averaged weights.
    """
    runtime = config.runtime
    if runtime.ema_decay is not None:
        return WeightAverage(model.network, runtime.ema_decay)
    if runtime.swa_start_epoch is None:
        return None
    if not model.trainer.keeps_statistics:
        return WeightAverage(model.network, None)
    assigned = model.trainer.training.loss.call.state.assigned_weights
    if assigned:
        raise UserError(
            f"--swa_start_epoch={runtime.swa_start_epoch}: the weight {assigned[0].path!r} is assigned when the "
            "network is called, so that no statistics can be had at averaged weights. Use --ema_decay, or exchange the "
            "layer."
        )
    batches = training_batches(config, train)
    whole, steps = batches.whole(), batches.steps_per_epoch
    return WeightAverage(
        model.network, None, lambda: model.trainer.recalibrated(whole, model.steps_completed // steps)
    )


def build_model(config: Config, train: Split, strategy: tf.distribute.Strategy) -> FullBatchModel:
    """The compiled model, with optimizer variables built, ready to train or to restore.

    Args:
        config: The run.
        train: Training samples, for shapes and pixel statistics.
        strategy: Where the variables live.

    Raises:
        UserError: The network does not fit the images, initial weights do not fit the network, or a goal does not fit
            the loss.
    """
    batches = training_batches(config, train)
    default = strategy is tf.distribute.get_strategy()
    with contextlib.nullcontext() if default else strategy.scope():
        loss = config.optimizer.build_loss()
        network = _build_network(config, train, loss)
        if config.model.initial_weights:
            load_initial_weights(network, config.model.initial_weights, config.model.step)
        model = _full_batch_model(config.step, network, train)
        rates = config.learning_rates(batches.batch_size)
        optimizer = config.optimizer.build_optimizer(EpochSchedule(rates, batches.steps_per_epoch))
        if not config.optimizer.decay_norm_and_bias:
            optimizer.exclude_from_weight_decay(var_list=undecayed_variables(network))
        optimizer.build(network.trainable_variables)
        model.compile(optimizer=optimizer, loss=loss)
    # Refuses now, before anything is written, what the step cannot be built from.
    with _naming_users_code(config):
        model.prepare(batches, training=True)
    refuse_goals(config.runtime.goals, model)
    return model


def refuse_measured(config: Config, parts: Assembly) -> None:
    """Refuses measures of which nothing would come, before anything is written.

    Raises:
        UserError: One of them, and why.
    """
    batches = training_batches(config, parts.splits.train)
    beginning = ModelBeginning(parts.model, parts.model.trainer.training, batches)
    refuse_measures(config.measures.chosen(), beginning)


@contextlib.contextmanager
def _naming_users_code(config: Config) -> Iterator[None]:
    """Turns an error within a file that a setting names into one line that says so."""
    try:
        yield
    except RunError:
        raise
    except Exception as error:
        values = config.values()
        for name in FILE_SETTINGS:
            if failure := own_parts.failure_of(name, values[name], error):
                raise failure from error
        raise


def _full_batch_model(step: StepConfig, network: keras.Model, train: Split) -> FullBatchModel:
    settings = step.to_flat()
    if not isinstance(step.chosen_augmentation, OwnAugmentation):
        return FullBatchModel(network, **settings)
    function = step.chosen_augmentation.function(step.augmentation, step.seed, train.inputs)
    settings |= {"augmentation": "none", "augmentation_options": None}
    return FullBatchModel(network, augmentation_function=function, **settings)


def _build_network(config: Config, train: Split, loss: Any) -> keras.Model:
    _refuse_other_targets(config, train, loss)
    mean, std = np.zeros(1), np.ones(1)
    is_users = is_users_network(config.model.model)
    if not is_users:
        _refuse_for_built_in(config, train, loss)
    if not is_users and train.vocabulary is None:
        mean, std = input_statistics(train.inputs)
        if train.inputs.dtype != np.uint8:  # networks take them in units of pixel / 255
            mean, std = mean / 255, std / 255
    std = np.where(std > 0, std, 1.0)  # a channel of one value carries nothing to scale
    one_per_class = train.has_classes and takes_class_numbers(loss)
    try:
        return network_of(
            config.model,
            input_shape=train.input_shape,
            num_classes=train.num_classes,
            pixel_mean=mean.tolist(),
            pixel_std=std.tolist(),
            seed=config.step.seed,
            expected=Expected(one_per_class=one_per_class, logits=takes_logits(loss)),
            vocabulary=train.vocabulary,
        )
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"--model={config.model.model}: {error}") from error


def _refuse_other_targets(config: Config, train: Split, loss: Any) -> None:
    """Refuses targets that are no class numbers where the loss takes these.

    Raises:
        UserError: They are not.
    """
    targets = optree.tree_leaves(train.targets)
    if takes_class_numbers(loss) and (len(targets) > 1 or targets[0].dtype.kind != "i"):
        raise UserError(
            f"--loss={config.optimizer.loss} takes class numbers (integers), but the targets of "
            f"--dataset={config.data.dataset} are {train.described('targets')}: give another --loss, such as "
            "keras:MeanSquaredError (numbers), keras:CategoricalCrossentropy (one-hot) or FILE.py:function."
        )


def _refuse_for_built_in(config: Config, train: Split, loss: Any) -> None:
    """Refuses what networks that are not the user's own code cannot have.

    Raises:
        UserError: Inputs that are several, tokens for a network of numbers or the other way round, several targets,
            or a loss of probabilities.
    """
    model, one = f"--model={config.model.model}", train.is_one_array
    if not one or (train.inputs.dtype == np.int32) != isinstance(config.model.chosen_model, TextNetwork):
        what = "integers (tokens)" if one and train.inputs.dtype == np.int32 else train.described("inputs")
        raise UserError(
            f"{model}: the inputs of --dataset={config.data.dataset} are {what if one else f'several ({what})'}, which "
            f"this network does not take: give a --model of your own, or {', '.join(TEXT_NETWORKS)} for one array of "
            "tokens, others for one of floats or pixels."
        )
    if train.inputs.dtype == np.int32 and (train.vocabulary is None or train.inputs.ndim != 2):
        raise UserError(
            f"{model}: the tokens of --dataset={config.data.dataset} are {train.described('inputs')} per sample, or "
            "some are negative: give [samples, length], numbered from 0 (padding)."
        )
    if not isinstance(train.targets, np.ndarray) or isinstance(loss, Mapping | list | tuple):
        raise UserError(
            f"{model} has one output, but the targets of --dataset={config.data.dataset} are "
            f"{train.described('targets')} and --loss={config.optimizer.loss} may be several: give a --model of your "
            "own for several outputs."
        )
    if takes_logits(loss) is False:
        raise UserError(
            f"--loss={config.optimizer.loss} takes probabilities, but {model} gives logits: add "
            "--loss_options=from_logits=True."
        )
