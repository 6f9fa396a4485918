"""A fixed set of augmented copies: all of them in one step, or one after the other."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.errors import UserError
from tf_fullbatch.training.full_batch_model import FullBatchModel

COPIES = 3
IMAGES = np.random.default_rng(0).integers(0, 256, (10, 6, 6, 3), dtype=np.uint8)
LABELS = np.arange(10) % 3
LIST = "crop2,alternating_flip,cutout2"


def model(**settings):
    """Logits of pixels, in float64."""
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Flatten(dtype="float64")(keras.layers.Rescaling(1 / 255, dtype="float64")(inputs))
    kernel = keras.initializers.GlorotUniform(1)
    outputs = keras.layers.Dense(3, kernel_initializer=kernel, dtype="float64")(x)
    made = FullBatchModel(keras.Model(inputs, outputs), seed=5, micro_batch_size=4, **settings)
    made.compile(optimizer=keras.optimizers.SGD(0.1), loss=SparseCrossentropy())
    return made


def gradient(images, labels, **settings):
    objective = model(**settings).objective(images, labels)
    return np.concatenate([np.ravel(g) for g in objective.value_and_gradient(objective.theta())[1]])


def of_epoch(epoch):
    augment = StepConfig.of(augmentation=LIST, seed=5).build_augmentation((6, 6, 3), "uint8")
    return augment(tf.constant(IMAGES), tf.range(10, dtype=tf.int64), tf.constant(epoch, tf.int64)).numpy()


def test_one_step_goes_over_all_copies():
    """Its gradient is that of a data set that holds them all."""
    expanded = np.concatenate([of_epoch(copy) for copy in range(COPIES)])
    expected = gradient(expanded, np.tile(LABELS, COPIES))
    found = gradient(IMAGES, LABELS, augmentation=LIST, augment_copies=COPIES)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_a_pass_is_over_all_copies():
    made = model(augmentation=LIST, augment_copies=COPIES)
    made.fit(IMAGES, LABELS, epochs=2, batch_size=15, shuffle=True, verbose=0)
    assert int(made.optimizer.iterations.numpy()) == 2 * COPIES * 10 / 15


def test_copies_in_turn_come_again():
    """Weights after each of seven full-batch steps are those of training on each copy in turn."""
    made, by_hand = model(augmentation=LIST, augment_copies=COPIES, copies_in_turn=True), model()
    for step in range(7):
        made.fit(IMAGES, LABELS, epochs=1, initial_epoch=0, verbose=0)
        by_hand.fit(of_epoch(step % COPIES), LABELS, epochs=1, verbose=0)
        for one, other in zip(made.network.get_weights(), by_hand.network.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("on_device", [True, False])
def test_streaming_is_the_same(on_device):
    made = model(augmentation=LIST, augment_copies=COPIES)
    made.fit(UpdateBatches(IMAGES, LABELS, copies=COPIES, on_device=on_device), verbose=0)
    resident = model(augmentation=LIST, augment_copies=COPIES)
    resident.fit(IMAGES, LABELS, verbose=0)
    for one, other in zip(made.network.get_weights(), resident.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_update_batches_must_have_the_copies():
    with pytest.raises(
        UserError, match=r"augment_copies=3 need UpdateBatches.*copies=3.*these have copies=1"
    ):
        model(augmentation=LIST, augment_copies=3).fit(UpdateBatches(IMAGES, LABELS), verbose=0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"augment_copies": 3}, "augment_copies=3 without augmentation: all copies would be the same"),
        ({"augmentation": "flip", "augment_copies": 1}, "augment_copies=1: must be at least 2"),
        ({"augmentation": "flip", "copies_in_turn": True}, "copies_in_turn=True has no effect without"),
        (
            {"augmentation_function": lambda x, ids, epoch: x, "augment_copies": 2},
            "augment_copies=2 with an augmentation of your own",
        ),
        (
            {"augmentation": "cutout7"},
            "augmentation=cutout7: cutout cuts out 7x7 pixels, but these images are 6x6",
        ),
    ],
)
def test_refusals(settings, words):
    with pytest.raises(UserError, match=words):
        model(**settings).fit(IMAGES, LABELS, verbose=0)
