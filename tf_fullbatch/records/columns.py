"""The columns of a run's tables: metrics.csv has one row per step, evaluations.csv one per evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass

Value = int | float | str
Record = Mapping[str, Value | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of a table of records.

    Attributes:
        name: The key of a record and the heading in the CSV file.
        kind: Type of the values: `int`, `float` or `str`. A blank cell means that nothing was measured.
        unit: Unit of the values; empty for pure numbers and names.
        description: What is measured, and when.
        optional: Whether files of earlier versions may lack it.
    """

    name: str
    kind: type[int] | type[float] | type[str] = float
    unit: str = ""
    description: str
    optional: bool = False


STEP_COLUMNS = (
    Column(name="step", kind=int, unit="steps", description="Optimizer updates completed, counted from 1."),
    Column(name="epoch", unit="passes", description="Passes over the training set completed."),
    Column(name="samples_seen", kind=int, unit="samples", description="Training samples used so far."),
    Column(
        name="loss",
        unit="nats",
        description="The objective: mean loss, label smoothing and the layers' regularisation losses included, over "
        "the update batch, at the weights before the update.",
    ),
    Column(
        name="cross_entropy",
        unit="nats",
        description="Mean cross-entropy without label smoothing and without regularisation losses, over the update "
        "batch, at the weights before the update; blank where the loss is no cross-entropy of classes.",
        optional=True,
    ),
    Column(
        name="accuracy", unit="fraction", description="Fraction of the update batch classified correctly."
    ),
    Column(
        name="penalised_objective", unit="nats", description="Objective plus penalty, without weight decay."
    ),
    Column(
        name="penalty",
        unit="nats",
        description="The gradient penalty alone: learning rate / 8 times squared gradient norms.",
    ),
    Column(
        name="gradient_norm",
        description="L2 norm of the gradient of the whole update batch (penalty included), before clipping and other "
        "transforms.",
    ),
    Column(
        name="clipped",
        kind=int,
        unit="0 or 1",
        description="1 where the gradient's norm exceeded --clip_norm where clipping acts, else 0.",
    ),
    Column(
        name="mean_squared_micro_batch_gradient_norm",
        description="Mean over micro-batches, weighted by samples, of the squared L2 norm of each one's own gradient.",
    ),
    Column(
        name="unpenalised_gradient_norm",
        description="L2 norm of the mean of the micro-batches' own gradients, weighted by samples: before penalty, "
        "clipping and additive noise.",
        optional=True,
    ),
    Column(
        name="noise_scale",
        unit="samples",
        description="Simple gradient noise scale tr(S) / |G|^2 of the update batch (McCandlish et al. 2018), per "
        "micro-batch: with batch normalisation or augmentation of the gradients that training takes, not of samples "
        "by themselves. Blank where the step is one micro-batch, or the estimate of |G|^2 is not positive.",
        optional=True,
    ),
    Column(name="learning_rate", description="Learning rate of the update."),
    Column(
        name="gradient_evaluations",
        unit="per sample",
        description="Gradient evaluations per sample that the step spent; a forward pass alone counts 1/3.",
        optional=True,
    ),
    Column(name="parameter_norm", description="L2 norm of all trainable parameters after the update."),
    Column(name="update_norm", description="L2 norm of the change the update made to the parameters."),
    Column(
        name="images_per_second", unit="samples/s", description="Training samples per second of the step."
    ),
    Column(name="step_seconds", unit="s", description="Duration of the step."),
    Column(
        name="wall_seconds",
        unit="s",
        description="Time since the run began, summed over its resumes, evaluations included.",
    ),
)

EVALUATION_COLUMNS = (
    Column(name="step", kind=int, unit="steps", description="Optimizer updates completed when evaluated."),
    Column(name="epoch", unit="passes", description="Passes over the training set completed."),
    Column(
        name="split",
        kind=str,
        description="The samples evaluated: validation or test; where training labels are changed also noisy_labels "
        "and clean_labels, the training samples with another label now, by the labels that are trained on and by "
        "those that they had.",
    ),
    Column(
        name="weights",
        kind=str,
        description="The weights evaluated: raw (as trained), ema (their exponential moving average) or swa (their "
        "uniform average).",
    ),
    Column(
        name="loss",
        unit="nats",
        description="The objective: mean loss, label smoothing and the layers' regularisation losses included, over "
        "the split.",
    ),
    Column(
        name="cross_entropy",
        unit="nats",
        description="Mean cross-entropy without label smoothing and without regularisation losses, over the split; "
        "blank where the loss is no cross-entropy of classes.",
        optional=True,
    ),
    Column(name="accuracy", unit="fraction", description="Fraction of the split classified correctly."),
    Column(name="samples", kind=int, unit="samples", description="Samples evaluated."),
    Column(name="seconds", unit="s", description="Duration of the evaluation."),
)

MEASUREMENT_COLUMNS = (
    Column(
        name="step",
        kind=int,
        unit="steps",
        description="Optimizer updates completed when measured; 0 before any.",
    ),
    Column(name="epoch", unit="passes", description="Passes over the training set completed."),
    Column(name="measure", kind=str, description="What was asked for by --measure."),
    Column(
        name="quantity",
        kind=str,
        description="Which of its figures; `gradient_evaluations` is what it spent.",
    ),
    Column(
        name="of",
        kind=str,
        description="What the figure is of where there are several: 1 for the largest eigenvalue, a variable's path.",
    ),
    Column(name="value", description="The figure; blank where it has no meaning."),
)
