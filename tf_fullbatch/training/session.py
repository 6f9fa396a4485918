"""What a model holds while it trains or evaluates, and no file keeps."""

import dataclasses
from collections.abc import Callable

from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.training.evaluation import EvaluationFunctions
from tf_fullbatch.training.step import StepFunctions
from tf_fullbatch.training.timeline import EpochMeans, Timeline

ChunkListener = Callable[[int, int], None]
"""Called after each chunk of a step with (rounds done, rounds in the step)."""

StopRequested = Callable[[], str | None]
"""Says who or what asks for a stop, such as "SIGTERM"; None to go on."""


@dataclasses.dataclass(slots=True)
class Session:
    """What a model holds while it trains or evaluates; never saved. Whatever is None is set before its use."""

    step: StepFunctions = None  # type: ignore[assignment]
    evaluation: EvaluationFunctions = None  # type: ignore[assignment]
    step_key: tuple = ()
    evaluation_key: tuple = ()
    classifies: bool = False
    results: dict[str, float] = dataclasses.field(default_factory=dict)
    timeline: Timeline = None  # type: ignore[assignment]
    trained: UpdateBatches = None  # type: ignore[assignment]
    evaluated: UpdateBatches = None  # type: ignore[assignment]
    validation: UpdateBatches | None = None
    means: EpochMeans = dataclasses.field(default_factory=EpochMeans)
    last_step: dict[str, float] = dataclasses.field(default_factory=dict)
    chunk_listeners: list[ChunkListener] = dataclasses.field(default_factory=list)
    stop_requested: StopRequested = lambda: None
