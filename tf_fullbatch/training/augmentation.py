"""What is done to the samples of a step: the augmentation that a model was given or names, copies, mixing."""

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core.copies import copies_at_once, copies_in_turn
from tf_fullbatch.core.gradient_trace import SampleSpecs
from tf_fullbatch.core.micro_batch import Augmentation
from tf_fullbatch.core.mixing import Mix
from tf_fullbatch.core.training_loss import TrainingLoss
from tf_fullbatch.errors import UserError
from tf_fullbatch.training.trainable import Trainable


def augmentation_of(model: Trainable, samples: SampleSpecs) -> Augmentation | None:
    """What is done to the inputs of training samples, a set of copies or without end.

    Raises:
        UserError: A built-in one that is not for these images, or copies of which nothing would come.
    """
    settings, augmentation = model.settings, model.augmentation_function
    if augmentation is None and settings.augmentation != "none":
        augmentation = settings.build_augmentation(samples.inputs.shape[1:], samples.inputs.dtype.name)
    if settings.augment_copies is None:
        return augmentation
    if augmentation is None:
        raise equal_copies(settings.augment_copies)
    if settings.copies_in_turn:
        return copies_in_turn(augmentation, settings.augment_copies)
    if model.augmentation_function is not None:
        raise UserError(
            f"--augment_copies={settings.augment_copies} with an augmentation of your own, which is called with one "
            "epoch for all samples: add --copies_in_turn."
        )
    return copies_at_once(augmentation)


def equal_copies(copies: int) -> UserError:
    """What to say of copies without an augmentation."""
    return UserError(
        f"--augment_copies={copies} without --augmentation: all copies would be the same. Give one, or leave it out."
    )


def mix_of(settings: StepConfig, of_outputs: TrainingLoss) -> Mix | None:
    """What mixes samples with their partners.

    Raises:
        UserError: The loss is not linear in the target.
    """
    mixing = settings.mixing
    if mixing is None:
        return None
    if not of_outputs.mixes:
        raise UserError(
            f"--augmentation={settings.augmentation} mixes targets, which is exact for one loss linear in them, but "
            f"the loss is {', '.join(loss.name for loss in of_outputs.losses.values() if loss)}: take cross_entropy or "
            "sigmoid (of Keras: SparseCategoricalCrossentropy, CategoricalCrossentropy, BinaryCrossentropy), or leave "
            "it out."
        )
    return mixing.build_mix(settings.seed)
