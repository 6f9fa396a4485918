"""A run as the cost model of clusters sees it."""

from tf_fullbatch.config.run import Config
from tf_fullbatch.core.names import EXACT
from tf_fullbatch.data.sources.image_folder import ImageFolder
from tf_fullbatch.models.gradient_flops import gradient_flops
from tf_fullbatch.run.memory import folder_bytes, network_memory
from tf_fullbatch.run.splits import Splits, training_batches
from tf_fullbatch.scaling import decoding
from tf_fullbatch.scaling.step_cost import Work
from tf_fullbatch.training.full_batch_model import FullBatchModel


def work_of(config: Config, model: FullBatchModel, splits: Splits, micro_batch_seconds: float | None) -> Work:
    """What a run computes, moves and saves.

    Args:
        config: The run.
        model: Compiled and prepared for the batches.
        splits: Its samples.
        micro_batch_seconds: Of one micro-batch on this machine; None where none was timed.
    """
    functions = model.trainer.training.steps.functions
    passes = functions.passes.passes
    # An exact Hessian product counts as one evaluation more, and takes the time of two.
    gradients = config.step.gradient_evaluations + (config.step.penalty in EXACT)
    memory = network_memory(model)
    batches = training_batches(config, splits.train)
    source = config.data.chosen_dataset
    folder = source if isinstance(source, ImageFolder) else None
    return Work(
        samples=len(batches),
        update_batch_size=batches.batch_size,
        micro_batch_size=config.step.micro_batch_size,
        epochs=config.total_epochs,
        dtype_policy=config.runtime.dtype_policy,
        flops=gradients * (gradient_flops(model.network) or 0.0),
        reduced_bytes=sum(one.reduced_bytes for one in passes),
        at_least=functions.descent.asks_objective,
        passes=len(passes),
        sample_bytes=batches.nbytes / batches.held,
        copies=batches.copies,
        brought=1 + batches.mixes,
        streams=config.runtime.keeps_data_on_device is False,
        decode_seconds=_decode_seconds(folder) if folder else 0.0,
        in_files=folder.stays_in_files if folder else None,
        folder_bytes=folder_bytes(config, splits) if folder else 0,
        checkpoint_bytes=memory.weights,
        checkpoint_steps=config.runtime.checkpoint_steps,
        checkpoint_seconds=config.runtime.checkpoint_seconds,
        micro_batch_seconds=micro_batch_seconds,
    )


def _decode_seconds(folder: ImageFolder) -> float:
    """Of a core, to decode one of its images to train on."""
    if folder.random_resized_crop:
        return decoding.RANDOM_CROP_SECONDS
    return decoding.SQUARE_SECONDS if folder.shorter_side is None else decoding.SHORTER_SIDE_SECONDS
