"""MixUp and CutMix: partners, shares, and the loss, against NumPy; whatever the micro-batch and where samples lie."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core.focal import SparseFocal
from tf_fullbatch.core.incorrect_only import IncorrectOnly
from tf_fullbatch.core.losses import SparseCrossentropy, SparseSquaredError
from tf_fullbatch.core.mixing import Mixed
from tf_fullbatch.core.random_bits import CUTMIX_STREAM, MIXUP_STREAM, random_bits, uniform_int
from tf_fullbatch.core.sigmoid import SparseSigmoid
from tf_fullbatch.core.training_loss import OutputLoss, TrainingLoss
from tf_fullbatch.data.augment.lists import augmentation_list
from tf_fullbatch.data.augment.mixing_shares import beta_quantiles
from tf_fullbatch.data.batches import UpdateBatches, partners_of
from tf_fullbatch.errors import UserError
from tf_fullbatch.training.full_batch_model import FullBatchModel

SEED, SAMPLES = 5, 22
IMAGES = np.random.default_rng(0).integers(0, 256, (SAMPLES, 6, 8, 3), dtype=np.uint8)
LABELS = np.arange(SAMPLES) % 3
IDS = tf.range(SAMPLES, dtype=tf.int64)


def drawn(stream, count, epoch):
    return uniform_int(random_bits(SEED, epoch, IDS, stream), count).numpy()


def mix(text, epoch=0):
    """(images, shares) of all samples with their partners, from the part alone."""
    of_whom = partners_of(IDS, SEED, epoch, SAMPLES - 1).numpy()
    images, share = augmentation_list(text).mixing.build_mix(SEED)(
        tf.constant(IMAGES), tf.constant(IMAGES[of_whom]), IDS, tf.constant(epoch, tf.int64)
    )
    return images.numpy(), share.numpy(), of_whom


def test_partners_are_a_permutation_of_the_set_new_in_every_epoch():
    of_epochs = [partners_of(IDS, SEED, epoch, SAMPLES - 1).numpy() for epoch in range(3)]
    for found in of_epochs:
        np.testing.assert_array_equal(np.sort(found), np.arange(SAMPLES))
    assert len({tuple(found) for found in of_epochs}) == 3
    order = UpdateBatches(IMAGES, LABELS, shuffle=True, seed=SEED).order(0)
    assert tuple(order) != tuple(of_epochs[0])


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_are_of_the_beta_distribution(alpha):
    """Mean 1/2 and variance 1 / (4 (2 alpha + 1)) of Beta(alpha, alpha), to the coarseness of 4096 quantiles."""
    shares = beta_quantiles(alpha) / 2**16
    np.testing.assert_allclose(shares.mean(), 0.5, atol=1e-6)
    np.testing.assert_allclose(shares.var(), 1 / (4 * (2 * alpha + 1)), rtol=1e-3)


def test_mixup():
    found, share, of_whom = mix("mixup(alpha=0.4)", epoch=3)
    own = beta_quantiles(0.4)[drawn(MIXUP_STREAM + 1, 4096, 3)] / 2**16
    np.testing.assert_array_equal(share, own.astype(np.float32))
    assert len(np.unique(share)) > SAMPLES / 2
    w = own[:, None, None, None]
    np.testing.assert_array_equal(found, np.floor(w * IMAGES + (1 - w) * IMAGES[of_whom] + 0.5))


def test_cutmix():
    """As the authors' rand_bbox: int(side sqrt(1 - lambda)) // 2 on both sides of a middle, clipped."""
    found, share, of_whom = mix("cutmix", epoch=2)
    cut = np.sqrt(1 - beta_quantiles(1.0)[drawn(CUTMIX_STREAM + 1, 4096, 2)] / 2**16)
    rows, columns = drawn(CUTMIX_STREAM + 2, 6, 2), drawn(CUTMIX_STREAM + 3, 8, 2)
    for i in range(SAMPLES):
        expected, (h, w) = IMAGES[i].copy(), (int(6 * cut[i]), int(8 * cut[i]))
        box = np.s_[
            np.clip(rows[i] - h // 2, 0, 6) : np.clip(rows[i] + h // 2, 0, 6),
            np.clip(columns[i] - w // 2, 0, 8) : np.clip(columns[i] + w // 2, 0, 8),
        ]
        expected[box] = IMAGES[of_whom[i]][box]
        np.testing.assert_array_equal(found[i], expected)
        np.testing.assert_allclose(share[i], 1 - IMAGES[i][box][..., 0].size / 48, rtol=1e-7)
    assert len(np.unique(share)) > 5


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_probability(name):
    _, share, _ = mix(f"{name}(probability=0.5)")
    assert 3 <= (share == 1).sum() <= SAMPLES - 3
    images, share, _ = mix(f"{name}(probability=1e-9)")
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(share, 1)


def network():
    """Logits of pixels, in float64."""
    inputs = keras.Input((6, 8, 3))
    x = keras.layers.Flatten(dtype="float64")(keras.layers.Rescaling(1 / 255, dtype="float64")(inputs))
    kernel = keras.initializers.GlorotUniform(1)
    return keras.Model(inputs, keras.layers.Dense(3, kernel_initializer=kernel, dtype="float64")(x))


def model(loss=None, micro_batch_size=4, **settings):
    made = FullBatchModel(network(), seed=SEED, micro_batch_size=micro_batch_size, **settings)
    made.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss or SparseCrossentropy(label_smoothing=0.1))
    return made


LIST = "crop1,flip,mixup0.7"


def test_the_loss_is_that_of_the_mixed_targets():
    """Cross-entropy against soft targets of mixed images, by NumPy; partners are of other micro-batches."""
    made = model(augmentation=LIST)
    objective = made.objective(IMAGES, LABELS)
    augment = StepConfig.of(augmentation="crop1,flip", seed=SEED).build_augmentation((6, 8, 3), "uint8")
    augmented = augment(tf.constant(IMAGES), IDS, tf.constant(0, tf.int64)).numpy()
    of_whom = partners_of(IDS, SEED, 0, SAMPLES - 1).numpy()
    own = beta_quantiles(0.7)[drawn(MIXUP_STREAM + 1, 4096, 0)] / 2**16
    w = own[:, None, None, None]
    mixed = np.floor(w * augmented + (1 - w) * augmented[of_whom] + 0.5)
    kernel, bias = made.network.get_weights()
    logits = mixed.reshape(SAMPLES, -1) / 255 @ kernel + bias
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    soft = own[:, None] * np.eye(3)[LABELS] + (1 - own[:, None]) * np.eye(3)[LABELS[of_whom]]
    expected = -((0.9 * soft + 0.1 / 3) * log_p).sum(1).mean()
    point = objective.value_and_gradient()
    np.testing.assert_allclose(float(point.loss), expected, rtol=1e-6)
    by_bias = (np.exp(log_p) - (0.9 * soft + 0.1 / 3)).mean(0)
    np.testing.assert_allclose(point.gradient[1], by_bias, rtol=1e-6, atol=1e-9)


SOFT = {
    "cross_entropy": (SparseCrossentropy(), keras.losses.CategoricalCrossentropy(from_logits=True), 1),
    "smoothed": (
        SparseCrossentropy(label_smoothing=0.2),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2),
        1,
    ),
    "sigmoid": (SparseSigmoid(), keras.losses.BinaryCrossentropy(from_logits=True), 3),
    "Keras": (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        1,
    ),
}
"""A loss of class numbers, the one of soft targets, and how many times it is that."""


@pytest.mark.parametrize("name", SOFT)
def test_losses_of_both_targets_are_those_of_soft_ones(name):
    """Loss and gradient by the outputs, in float64, against Keras' loss of one-hot targets mixed before it."""
    loss, of_soft, times = SOFT[name]
    draws = np.random.default_rng(1)
    outputs, share = tf.Variable(draws.normal(0, 3, (SAMPLES, 3))), draws.uniform(0, 1, SAMPLES)
    partners = LABELS[::-1].copy()
    soft = share[:, None] * np.eye(3)[LABELS] + (1 - share[:, None]) * np.eye(3)[partners]
    with tf.GradientTape(persistent=True) as tape:
        mean = TrainingLoss({"output": OutputLoss(loss.call)})(
            LABELS, outputs, mixed=Mixed(partners, share)
        ).mean
        expected = times * tf.reduce_mean(of_soft.call(tf.constant(soft), outputs))
    assert mean.dtype == tf.float64
    np.testing.assert_allclose(mean, expected, rtol=1e-13)
    np.testing.assert_allclose(
        tape.gradient(mean, outputs), tape.gradient(expected, outputs), rtol=0, atol=1e-15
    )


@pytest.mark.parametrize("name", [*SOFT, "binary"])
def test_they_train(name):
    """The mean of a step's mixed samples; of binary cross-entropies the targets may be one-hot."""
    one_hot = name == "binary"
    loss, of_soft, times = SOFT["sigmoid" if one_hot else name]
    if one_hot:
        loss, times = of_soft, 1
    made = model(loss=loss, augmentation="mixup")
    mixed, share, of_whom = mix("mixup")
    soft = share[:, None] * np.eye(3)[LABELS] + (1 - share[:, None]) * np.eye(3)[LABELS[of_whom]]
    expected = times * np.mean(of_soft.call(tf.constant(soft, tf.float64), made.network(mixed)))
    history = made.fit(IMAGES, np.eye(3)[LABELS] if one_hot else LABELS, verbose=0)
    np.testing.assert_allclose(
        history.history["loss"][0], expected, rtol=1e-6
    )  # shares and figures are float32


def test_the_same_for_any_micro_batch_and_where_samples_lie():
    """Weights after three steps; sums of other micro-batches round otherwise."""

    def weights(micro_batch_size, on_device, shuffle):
        made = model(micro_batch_size=micro_batch_size, augmentation=LIST)
        size = 11 if shuffle else None
        batches = UpdateBatches(
            IMAGES, LABELS, batch_size=size, shuffle=shuffle, seed=SEED, mixes=True, on_device=on_device
        )
        made.fit(batches, epochs=2, verbose=0)
        return np.concatenate([np.ravel(w) for w in made.network.get_weights()])

    for shuffle in (False, True):
        first = weights(4, True, shuffle)
        np.testing.assert_array_equal(weights(4, False, shuffle), first)
        np.testing.assert_allclose(weights(7, True, shuffle), first, rtol=1e-6, atol=1e-8)


def test_accuracy_counts_both_targets():
    made = model(augmentation="mixup")
    made.compile(optimizer=keras.optimizers.SGD(0.0), loss=SparseCrossentropy(), metrics=["accuracy"])
    mixed, share, of_whom = mix("mixup")
    guesses = made.network.predict(mixed, verbose=0).argmax(1)
    expected = (share * (guesses == LABELS) + (1 - share) * (guesses == LABELS[of_whom])).mean()
    from tf_fullbatch.analysis.values import value

    np.testing.assert_allclose(value(made.objective(IMAGES, LABELS)).accuracy, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"augmentation": "mixup", "loss": SparseSquaredError()},
            "augmentation=mixup mixes targets, .* but the loss is sparse_squared_error: take cross_entropy or "
            "sigmoid (of Keras: ",
        ),
        (
            {"augmentation": "mixup", "loss": lambda y, z: keras.ops.sum(z, -1)},
            "augmentation=mixup mixes targets",
        ),
        ({"augmentation": "mixup", "loss": SparseFocal(2.0)}, "augmentation=mixup mixes targets"),
        ({"augmentation": "mixup", "loss": IncorrectOnly()}, "augmentation=mixup mixes targets"),
        ({"augmentation": "mixup", "max_up": 2}, "max_up=2 with augmentation=mixup"),
        (
            {"augmentation": "mixup,flip"},
            "augmentation=mixup,flip: mixup mixes samples as they are in the end",
        ),
        ({"augmentation": "mixup", "augment_copies": 2}, "augment_copies=2 with augmentation=mixup"),
        ({"augmentation": "mixup(alpha=0)"}, "augmentation of mixup: alpha=0: must be above 0"),
    ],
)
def test_refusals(settings, words):
    with pytest.raises(UserError, match=words.replace("(", r"\(").replace(")", r"\)")) as caught:
        model(**settings).fit(IMAGES, LABELS, verbose=0)
    assert "\n" not in str(caught.value)
