"""`--mode=evaluate`: the figures of a finished run's weights, computed again."""

import sys

from tf_fullbatch.config.comparing import result_settings
from tf_fullbatch.config.run import Config
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.display.text import format_table
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.run import build
from tf_fullbatch.run.devices import choose_strategy
from tf_fullbatch.run.opened import kept_checkpoint
from tf_fullbatch.run.own_files import check_unchanged, refuse_unnamed
from tf_fullbatch.run.splits import evaluation_batches
from tf_fullbatch.training.full_batch_model import FullBatchModel


def evaluate(config: Config) -> Outcome:
    """Evaluates the weights of a checkpoint of the run in the output folder, the newest unless `--step` says which."""
    assert config.runtime.output_dir is not None  # checked by Config
    folder = RunFolder(config.runtime.output_dir)
    trained = folder.read_config()
    _refuse_other_settings(config, trained)
    refuse_unnamed(folder, trained, config.values())
    check_unchanged(folder, trained)
    checkpoint, notes = kept_checkpoint(folder, config.model.step)
    trained = trained.replacing(
        data_dir=config.data.data_dir or trained.data.data_dir,
        strategy=config.runtime.strategy,
        num_replicas=config.runtime.num_replicas,
        simulate_devices=config.runtime.simulate_devices,
        **_views(config, trained),
    )
    parts = build.assemble(trained, choose_strategy(trained.runtime), checkpoint)
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)
    rows = []
    for name, samples in {"train": parts.splits.train, **parts.splits.evaluated}.items():
        batches = evaluation_batches(trained, samples)
        rows.append(_row(name, "raw", parts.model, batches))
        if parts.average is not None and parts.average.begun:
            with parts.average.applied():
                rows.append(_row(name, parts.average.kind, parts.model, batches))
    print(f"{folder.path}, step {checkpoint.step}, epoch {checkpoint.epoch:g}")
    print(
        format_table(
            ["split", "weights", "samples", "cross-entropy", "objective", "accuracy %"], rows, "<<>>>>"
        )
    )
    return Outcome.COMPLETED


def _views(config: Config, trained: Config) -> dict[str, object]:
    """How views of an image are averaged: as the command says, else as the run did."""
    step = config.step if config.step.averages_views else trained.step
    return {
        "flip_averaging": step.flip_averaging,
        "test_time_augmentation": step.test_time_augmentation,
    }


def _refuse_other_settings(config: Config, trained: Config) -> None:
    """Refuses settings that the run was not trained with; defaults count as not given."""
    default, there = result_settings(Config()), result_settings(trained)
    others = [
        f"--{name}={value} (there {there[name]})"
        for name, value in result_settings(config).items()
        if value not in (default[name], there[name])
        and name not in ("flip_averaging", "test_time_augmentation", "schedule_epochs", "step")
    ]
    if others:
        them = "them" if len(others) > 1 else "it"
        raise UserError(f"{', '.join(others)}: --mode=evaluate takes a run's own settings. Leave {them} out.")


def _row(split: str, weights: str, model: FullBatchModel, batches: UpdateBatches) -> list[object]:
    results = model.evaluate_batches(batches)
    accuracy, losses = results.get("accuracy"), [results.get("cross_entropy"), results["loss"]]
    shown = [None if loss is None else f"{loss:.4f}" for loss in losses]
    return [split, weights, len(batches), *shown, None if accuracy is None else f"{100 * accuracy:.2f}"]
