"""A run as the cost model of clusters sees it."""

from tf_fullbatch.config.run import Config
from tf_fullbatch.core.names import EXACT
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.models.gradient_flops import gradient_flops
from tf_fullbatch.run.memory import network_memory
from tf_fullbatch.scaling.step_cost import Work
from tf_fullbatch.training.full_batch_model import FullBatchModel


def work_of(
    config: Config, model: FullBatchModel, batches: UpdateBatches, micro_batch_seconds: float | None
) -> Work:
    """What a run computes, moves and saves.

    Args:
        config: The run.
        model: Compiled and prepared for the batches.
        batches: The training samples.
        micro_batch_seconds: Of one micro-batch on this machine; None where none was timed.
    """
    functions = model.trainer.training.steps.functions
    passes = functions.passes.passes
    # An exact Hessian product counts as one evaluation more, and takes the time of two.
    gradients = config.step.gradient_evaluations + (config.step.penalty in EXACT)
    memory = network_memory(model)
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
        sample_bytes=batches.nbytes / len(batches),
        streams=config.runtime.keeps_data_on_device is False,
        device_bytes=memory.total,
        checkpoint_bytes=memory.weights,
        checkpoint_steps=config.runtime.checkpoint_steps,
        checkpoint_seconds=config.runtime.checkpoint_seconds,
        micro_batch_seconds=micro_batch_seconds,
    )
