"""The training objective of a run, to be asked after it."""

import os

from tf_fullbatch.core.objective import Objective
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.run import build
from tf_fullbatch.run.devices import choose_strategy
from tf_fullbatch.run.evaluate import newest_checkpoint


def objective_of_run(output_dir: str | os.PathLike[str], *, step: int = 0) -> Objective:
    """The objective of a run's training set, at the weights of its newest checkpoint.

        objective = objective_of_run("runs/quickstart")
        values, vectors = scipy.sparse.linalg.eigsh(objective.linear_operator(), k=3, which="LA")

    It is what the run's next update would descend, its augmentation and dropout included. Keras' dtype policy becomes
    the run's; nothing is written.

    Args:
        output_dir: The run's folder.
        step: Whose samples of an epoch, where an epoch has several steps.

    Raises:
        UserError: There is no run or no checkpoint, or its data are not to be had.
    """
    folder = RunFolder(output_dir)
    config = folder.read_config()
    checkpoint, _ = newest_checkpoint(folder)
    parts = build.assemble(config, choose_strategy(config.runtime), checkpoint)
    return parts.model.objective(build.training_batches(config, parts.splits.train), step=step)
