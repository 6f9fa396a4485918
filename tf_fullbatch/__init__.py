"""Train neural networks on the exact gradient of the whole training set, in TensorFlow/Keras.

The names below are loaded when first used: `import tf_fullbatch` alone does not import TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tf_fullbatch.version import __version__ as __version__

if TYPE_CHECKING:
    from tf_fullbatch.core.losses import SparseCrossentropy
    from tf_fullbatch.data.batches import UpdateBatches
    from tf_fullbatch.errors import RunError, RunInterrupt, UserError
    from tf_fullbatch.inspection.from_python import analyze_runs
    from tf_fullbatch.models.build import build_network
    from tf_fullbatch.optim.keras_schedule import build_schedule
    from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
    from tf_fullbatch.report.write import write_report
    from tf_fullbatch.run.from_python import train
    from tf_fullbatch.run.opened import open_run
    from tf_fullbatch.studies.from_python import run_study, run_sweep
    from tf_fullbatch.training.full_batch_model import FullBatchModel
    from tf_fullbatch.training.goals import Goals
    from tf_fullbatch.training.measure import Measure
    from tf_fullbatch.training.objective_of import objective_of

__all__ = [
    "FullBatchModel",
    "Goals",
    "GradientDescent",
    "Measure",
    "RunError",
    "RunInterrupt",
    "SparseCrossentropy",
    "UpdateBatches",
    "UserError",
    "analyze_runs",
    "build_network",
    "build_schedule",
    "objective_of",
    "open_run",
    "run_study",
    "run_sweep",
    "train",
    "write_report",
]

_HOMES = {
    "FullBatchModel": "training.full_batch_model",
    "Goals": "training.goals",
    "GradientDescent": "optim.rules.gradient_descent",
    "Measure": "training.measure",
    "RunError": "errors",
    "RunInterrupt": "errors",
    "SparseCrossentropy": "core.losses",
    "UpdateBatches": "data.batches",
    "UserError": "errors",
    "analyze_runs": "inspection.from_python",
    "build_network": "models.build",
    "build_schedule": "optim.keras_schedule",
    "objective_of": "training.objective_of",
    "open_run": "run.opened",
    "train": "run.from_python",
    "run_study": "studies.from_python",
    "run_sweep": "studies.from_python",
    "write_report": "report.write",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("tf_fullbatch.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'tf_fullbatch' has no attribute {name!r}")
    if _HOMES[name] == "errors":
        return getattr(importlib.import_module("tf_fullbatch.errors"), name)
    from tf_fullbatch.display.tensorflow_log import quiet_unless_asked

    with quiet_unless_asked():
        return getattr(importlib.import_module(f"tf_fullbatch.{_HOMES[name]}"), name)
