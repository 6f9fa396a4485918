"""From a configuration to its parts: devices, precision, data, network, compiled model."""

import contextlib
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.config.run import Config
from tf_fullbatch.data.pipeline import UpdateBatches
from tf_fullbatch.data.sources import LabelledImages, load_dataset, pixel_statistics
from tf_fullbatch.data.splits import split_train
from tf_fullbatch.losses import SparseCrossentropy
from tf_fullbatch.models.build import build_network
from tf_fullbatch.optim.build import build_optimizer
from tf_fullbatch.optim.gradient_descent import undecayed_variables
from tf_fullbatch.optim.keras_schedule import EpochSchedule
from tf_fullbatch.outcomes import UserError
from tf_fullbatch.schedules import EpochRates, scale_learning_rate
from tf_fullbatch.training.full_batch_model import FullBatchModel


@dataclass(frozen=True, slots=True)
class Splits:
    """The data of a run.

    Attributes:
        train: Training samples.
        validation: Samples held out of the training set; None where there are none.
        test: Test samples; None where the source has none.
    """

    train: LabelledImages
    validation: LabelledImages | None
    test: LabelledImages | None

    @property
    def evaluated(self) -> dict[str, LabelledImages]:
        """Split name -> samples of the splits that are evaluated."""
        named = {"validation": self.validation, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}


def set_precision(dtype_policy: str) -> None:
    """Sets Keras' and TensorFlow's precision for this process."""
    policy = "float32" if dtype_policy == "tf32" else dtype_policy
    keras.config.set_floatx("float64" if policy == "float64" else "float32")
    keras.config.set_dtype_policy(policy)
    tf.config.experimental.enable_tensor_float_32_execution(dtype_policy == "tf32")


def choose_strategy(name: str) -> tf.distribute.Strategy:
    """The strategy of a name: `auto` mirrors over the machine's GPUs where there are several."""
    several = len(tf.config.list_logical_devices("GPU")) > 1
    if name == "mirrored" or (name == "auto" and several):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def describe_devices(strategy: tf.distribute.Strategy) -> str:
    """Devices in words, such as "2 x NVIDIA H200" or "CPU"."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return f"CPU, {strategy.num_replicas_in_sync} replica{'s' * (strategy.num_replicas_in_sync > 1)}"
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return f"{strategy.num_replicas_in_sync} x {name}"


def load_splits(config: Config) -> Splits:
    """Loads the data set and cuts it into training, validation and test samples.

    Raises:
        UserError: The data set or the sizes are not to be had, or batches do not fit the training set.
    """
    data = config.data
    dataset = load_dataset(data.dataset, data_dir=data.data_dir, image_size=data.image_size)
    train, validation = split_train(
        dataset.train.labels,
        num_classes=dataset.num_classes,
        train_size=data.train_size,
        validation_size=data.validation_size,
    )
    splits = Splits(
        dataset.train if len(train) == len(dataset.train) else dataset.train.select(train),
        dataset.train.select(validation) if len(validation) else None,
        dataset.test,
    )
    for name, size in (
        ("micro_batch_size", config.step.micro_batch_size),
        ("batch_size", config.optimizer.batch_size),
    ):
        if size is not None and size > len(splits.train):
            raise UserError(
                f"--{name}={size} is larger than the training set of {len(splits.train)} samples: lower --{name}."
            )
    return splits


def training_batches(config: Config, train: LabelledImages) -> UpdateBatches:
    """The training samples as update batches."""
    return UpdateBatches(
        train.images,
        train.labels,
        batch_size=config.optimizer.batch_size,
        micro_batch_size=config.step.micro_batch_size,
        sample_ids=train.sample_ids,
        shuffle=config.optimizer.shuffle,
        seed=config.step.seed,
        chunk_micro_batches=config.runtime.chunk_micro_batches,
    )


def evaluation_batches(config: Config, samples: LabelledImages) -> UpdateBatches:
    """Samples to evaluate on, as one update batch."""
    return UpdateBatches(
        samples.images,
        samples.labels,
        micro_batch_size=config.step.micro_batch_size,
        sample_ids=samples.sample_ids,
        chunk_micro_batches=config.runtime.chunk_micro_batches,
    )


def learning_rates(config: Config, update_batch_size: int) -> EpochRates:
    """The learning rate of every epoch."""
    optimizer = config.optimizer
    peak = scale_learning_rate(optimizer.learning_rate, update_batch_size, optimizer.learning_rate_scaling)
    try:
        return EpochRates(
            name=optimizer.schedule,
            peak=peak,
            warmup_epochs=optimizer.warmup_epochs,
            horizon_epochs=config.schedule_epochs,
            decay_epochs=optimizer.decay_epochs,
            decay_factor=optimizer.decay_factor,
        )
    except ValueError as error:
        raise UserError(f"--schedule={optimizer.schedule}: {error}") from error


def build_model(config: Config, train: LabelledImages, strategy: tf.distribute.Strategy) -> FullBatchModel:
    """The compiled model, with optimizer variables built, ready to train or to restore.

    Args:
        config: The run.
        train: Training samples, for shapes and pixel statistics.
        strategy: Where the variables live.

    Raises:
        UserError: The network does not fit the images, or initial weights do not fit the network.
    """
    batches = training_batches(config, train)
    settings = {f.name: getattr(config.step, f.name) for f in dataclasses.fields(config.step)}
    default = strategy is tf.distribute.get_strategy()
    with contextlib.nullcontext() if default else strategy.scope():
        network = _build_network(config, train)
        if config.model.initial_weights:
            load_initial_weights(network, config.model.initial_weights)
        model = FullBatchModel(network, **settings)
        optimizer = build_optimizer(
            config.optimizer.optimizer,
            learning_rate=EpochSchedule(
                learning_rates(config, batches.batch_size), batches.plan(1).steps_per_epoch
            ),
            momentum=config.optimizer.momentum,
            nesterov=config.optimizer.nesterov,
            weight_decay=config.optimizer.weight_decay,
        )
        if not config.optimizer.decay_norm_and_bias:
            optimizer.exclude_from_weight_decay(var_list=undecayed_variables(network))
        optimizer.build(network.trainable_variables)
        model.compile(optimizer=optimizer, loss=SparseCrossentropy(config.optimizer.label_smoothing))
    # Refuses now, before anything is written, what the step cannot be built from.
    model._prepare(batches, training=True)
    return model


def _build_network(config: Config, train: LabelledImages) -> keras.Model:
    mean, std = pixel_statistics(train.images)
    std = np.where(std > 0, std, 1.0)  # a channel of one value carries nothing to scale
    choices = config.model
    try:
        return build_network(
            choices.model,
            input_shape=train.images.shape[1:],
            num_classes=train.num_classes,
            pixel_mean=mean.tolist(),
            pixel_std=std.tolist(),
            width=choices.width,
            stem=choices.stem,
            shortcut=choices.shortcut,
            norm=choices.norm,
            activation=choices.activation,
            seed=config.step.seed,
        )
    except ValueError as error:
        raise UserError(f"--model={choices.model}: {error}") from error


def load_initial_weights(network: keras.Model, source: str) -> None:
    """Loads weights into a network from a run folder, a .keras file or a .weights.h5 file.

    Raises:
        UserError: The file is missing, damaged, or of another network.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        path = path / "model.keras"
    if not path.is_file():
        raise UserError(
            f"--initial_weights={source}: there is no {path}. Give a run folder, .keras or .weights.h5."
        )
    try:
        if path.name.endswith(".weights.h5"):
            network.load_weights(path)
            return
        loaded = keras.models.load_model(path, compile=False)
        network.set_weights(loaded.get_weights())
    except Exception as error:  # Keras raises many kinds for damaged files and for other architectures
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--initial_weights={source}: does not fit --model={network.name} ({reason})."
        ) from error
