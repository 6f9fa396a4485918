"""Three steps and an evaluation on 1, 2 and 3 logical CPUs; writes weights and figures to a file.

A process of its own: logical devices have to be made before TensorFlow touches any.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.training.full_batch_model import FullBatchModel

SAMPLES, CLASSES, MICRO_BATCH = 101, 3, 16
EVERYTHING = {
    "penalty": "nested_tape",
    "penalty_strength": 0.5,
    "full_gradient_penalty_strength": 0.3,
    "clip_norm": 0.5,
    "micro_batch_clip_norm": 2.0,
    "additive_noise": 0.01,
    "multiplicative_noise": 0.3,
    "augmentation": "crop_flip",
    "augmentation_padding": 2,
}
TRANSFORMED = {
    "gradient_transforms": "centralize,noise,adaptive_clip,l1(coefficient=0.01),clip",
    "update_transforms": "weight_decay(coefficient=0.1),clip(norm=0.1)",
    "clip_norm": 0.5,
    "additive_noise": 0.01,
}


def build_network() -> keras.Model:
    """A convolutional network with BatchNorm and dropout."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, kernel_initializer=keras.initializers.GlorotUniform(1))(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.Dropout(0.2, seed=1)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(CLASSES, kernel_initializer=keras.initializers.GlorotUniform(2))(x)
    return keras.Model(inputs, outputs)


def train(
    strategy: tf.distribute.Strategy, batch_size: int | None, chunk: int | None, **settings: object
) -> dict[str, list]:
    """Weights on every replica, and figures, after three updates; the network is built in the strategy's scope."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (SAMPLES, 8, 8, 1), dtype=np.uint8)
    labels = generator.integers(0, CLASSES, SAMPLES)
    with strategy.scope():
        model = FullBatchModel(build_network(), micro_batch_size=MICRO_BATCH, seed=3, **settings)
        entropy = keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="entropy")
        loss = SparseCrossentropy(label_smoothing=0.1)
        model.compile(optimizer=GradientDescent(0.2), loss=loss, metrics=[entropy])
    batches = UpdateBatches(
        images,
        labels,
        batch_size=batch_size,
        shuffle=batch_size is not None,
        seed=3,
        chunk_micro_batches=chunk,
    )
    epochs = 3 if batch_size is None else 1
    history = model.fit(batches, epochs=epochs, verbose=0, validation_data=(images[:17], labels[:17])).history
    copies = [[] for _ in range(strategy.num_replicas_in_sync)]
    for variable in [*model.network.weights, *model.optimizer.variables]:
        for copy, value in zip(copies, strategy.experimental_local_results(variable.value), strict=True):
            copy.extend(np.ravel(value.numpy()).astype("float64").tolist())
    evaluation = model.evaluate(images, labels, verbose=0, return_dict=True)
    predictions = model.predict(images, batch_size=33, verbose=0)
    return {
        "copies": copies,
        "history": [history[name] for name in sorted(history)],
        "evaluation": [evaluation[name] for name in sorted(evaluation)],
        "predictions": predictions.ravel().tolist(),
        "steps": model.steps_completed,
    }


def train_several(strategy: tf.distribute.Strategy) -> dict[str, list]:
    """The same of a network of two inputs and two outputs, with sample weights, in shuffled mini-batches."""
    generator = np.random.default_rng(1)
    inputs = {"a": generator.normal(size=(SAMPLES, 3)), "b": generator.normal(size=(SAMPLES, 2))}
    targets = {
        "classes": generator.integers(0, CLASSES, SAMPLES),
        "number": generator.normal(size=(SAMPLES, 1)),
    }
    weights = {name: generator.uniform(0.2, 2, SAMPLES) for name in targets}
    with strategy.scope():
        a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
        kernel = [keras.initializers.GlorotUniform(seed) for seed in range(3)]
        hidden = keras.layers.Dense(5, "softplus", kernel_initializer=kernel[0])(
            keras.layers.Concatenate()([a, b])
        )
        classes = keras.layers.Dense(CLASSES, kernel_initializer=kernel[1], name="classes")(hidden)
        number = keras.layers.Dense(1, kernel_initializer=kernel[2], name="number")(hidden)
        network = keras.Model({"a": a, "b": b}, {"classes": classes, "number": number})
        model = FullBatchModel(
            network, micro_batch_size=MICRO_BATCH, penalty="nested_tape", penalty_strength=0.5
        )
        losses = {"classes": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "number": "mse"}
        model.compile(
            GradientDescent(0.2),
            losses,
            loss_weights={"classes": 1.0, "number": 0.3},
            weighted_metrics={"number": ["mae"]},
        )
    batches = UpdateBatches(inputs, targets, weights, batch_size=40, shuffle=True, seed=3)
    history = model.fit(batches, verbose=0, validation_data=(inputs, targets, weights)).history
    copies = [[] for _ in range(strategy.num_replicas_in_sync)]
    for variable in [*network.weights, *model.optimizer.variables]:
        for copy, value in zip(copies, strategy.experimental_local_results(variable.value), strict=True):
            copy.extend(np.ravel(value.numpy()).astype("float64").tolist())
    evaluation = model.evaluate(inputs, targets, sample_weight=weights, verbose=0, return_dict=True)
    return {
        "copies": copies,
        "history": [history[name] for name in sorted(history)],
        "evaluation": [evaluation[name] for name in sorted(evaluation)],
        "predictions": model.predict(inputs, verbose=0)["classes"].ravel().tolist(),
        "steps": model.steps_completed,
    }


def main(path: str) -> None:
    """Runs every case and writes name -> replicas -> results as JSON."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 3)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    results: dict[str, dict[int, dict]] = {"full": {}, "idle": {}, "several": {}}
    for replicas in (1, 2, 3):
        strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
        if replicas != 2:
            results["full"][replicas] = train(strategy, None, {1: None, 3: 2}[replicas], **EVERYTHING)
        # Update batches of 40 samples, shuffled, the last of 21: two micro-batches, so that a third replica idles.
        results["idle"][replicas] = train(strategy, 40, None, **TRANSFORMED)
        if replicas != 2:
            results["several"][replicas] = train_several(strategy)
    Path(path).write_text(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])
