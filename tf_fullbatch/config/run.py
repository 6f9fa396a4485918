"""The configuration of a whole run: groups of settings and the checks across them."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from tf_fullbatch.config.settings import check_ranges, setting
from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.outcomes import UserError

MODELS = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnet20", "resnet32", "resnet44", "resnet56", "resnet110",
    "resnet8", "resnet_tiny", "mlp", "linear",
)  # fmt: skip
SHORTCUTS = ("auto", "pad", "conv", "conv_norm", "pool_conv_norm")
STEMS = ("auto", "cifar", "imagenet", "efficient")
NORMS = ("batch", "group", "none")
ACTIVATIONS = ("relu", "silu", "gelu", "softplus")
OPTIMIZERS = ("gradient_descent", "adamw")
SCHEDULES = ("published", "cosine", "linear", "steps", "constant")
DTYPE_POLICIES = ("float32", "tf32", "float64", "mixed_bfloat16")


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """The data set and its splits."""

    dataset: str = setting(
        "digits",
        "Data set: digits (embedded, 1,797 images of 8x8) or the name of any TFDS image-classification set, such as "
        "cifar10.",
    )
    data_dir: str | None = setting(
        None, "TFDS' folder of prepared data sets. Unset: TFDS' own default.", decides=False
    )
    image_size: int | None = setting(
        None, "Side in pixels to which images are resized. Unset: images must share one size.", minimum=4
    )
    train_size: int | None = setting(
        None,
        "Training samples: a class-balanced subset; smaller subsets are part of larger ones. Unset: all.",
        minimum=1,
    )
    validation_size: int = setting(
        0, "Samples held out of the training set for validation, class-balanced.", minimum=0
    )

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The network."""

    model: str = setting("resnet8", "Network.", choices=MODELS)
    width: int | None = setting(
        None, "Channels of the first stage (hidden units of mlp). Unset: the network's own.", minimum=1
    )
    stem: str = setting(
        "auto",
        "First layers: cifar (3x3), imagenet (7x7 and pooling), efficient (three 3x3 and pooling); auto by image size.",
        choices=STEMS,
    )
    shortcut: str = setting(
        "auto",
        "Shortcut where shapes change: zero padding, strided 1x1 convolution without or with norm, or average pooling "
        "then 1x1 convolution and norm (the published choice); auto: the network family's own.",
        choices=SHORTCUTS,
    )
    norm: str = setting("batch", "Normalisation: BatchNorm, GroupNorm or none.", choices=NORMS)
    activation: str = setting("relu", "Activation function.", choices=ACTIVATIONS)
    initial_weights: str | None = setting(
        None, "Start from these weights: a run folder, a model.keras or a .weights.h5 file."
    )

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """Update batches, loss, optimizer and learning rate."""

    batch_size: int | None = setting(
        None,
        "Samples an update: full (the whole training set) or a number; 128 with --shuffle is SGD.",
        minimum=1,
    )
    shuffle: bool = setting(False, "Draw a new order of the samples each epoch.")
    label_smoothing: float = setting(
        0.0, "Share of the target probability spread evenly over all classes.", minimum=0, below=1
    )
    optimizer: str = setting(
        "gradient_descent",
        "gradient_descent (with momentum, Nesterov and coupled weight decay as published) or adamw.",
        choices=OPTIMIZERS,
    )
    learning_rate: float = setting(0.1, "Peak learning rate.", above=0)
    learning_rate_scaling: str = setting(
        "none",
        "linear: multiply the learning rate by update batch size / 128 (Goyal et al. 2017).",
        choices=("none", "linear"),
    )
    momentum: float = setting(0.9, "Momentum of gradient_descent.", minimum=0, below=1)
    nesterov: bool = setting(True, "Nesterov momentum.")
    weight_decay: float = setting(
        5e-4, "Weight decay: coupled L2 for gradient_descent, decoupled for adamw.", minimum=0
    )
    decay_norm_and_bias: bool = setting(True, "Decay normalisation scales and biases too, as published.")
    schedule: str = setting(
        "published",
        "Learning rate over epochs: published (warmup from 0, cosine), cosine, linear, steps or constant (warmup from "
        "lr / warmup).",
        choices=SCHEDULES,
    )
    warmup_epochs: float = setting(0, "Epochs of linear warmup.", minimum=0)
    schedule_epochs: float | None = setting(
        None, "Horizon of the schedule in epochs (published: 4000 for 3000 epochs). Unset: --epochs.", above=0
    )
    decay_epochs: tuple[float, ...] = setting(
        (), "Epochs at which --schedule=steps lowers the rate.", above=0
    )
    decay_factor: float = setting(0.1, "Factor of --schedule=steps.", above=0, maximum=1)

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeConfig:
    """Length, precision, evaluation, and what is written where."""

    epochs: int = setting(
        60, "Passes over the training set; a full-batch step is one.", minimum=1, decides=False
    )
    dtype_policy: str = setting(
        "float32",
        "float32 (also on GPUs), tf32 (float32 with TF32 matrix products on GPUs), float64 or mixed_bfloat16.",
        choices=DTYPE_POLICIES,
    )
    evaluate_every: int = setting(
        1, "Epochs between evaluations; the last epoch is always evaluated.", minimum=1, decides=False
    )
    ema_decay: float | None = setting(
        None,
        "Decay a pass of an exponential moving average of the weights, evaluated beside them.",
        above=0,
        below=1,
    )
    output_dir: str | None = setting(
        None, "Run folder; a run already there is resumed. Unset: runs/DATASET-MODEL-...", decides=False
    )
    mode: str = setting(
        "train",
        "train, or evaluate the finished run in --output_dir.",
        choices=("train", "evaluate"),
        decides=False,
    )
    strategy: str = setting(
        "auto",
        "Devices: one_device, mirrored (all GPUs of the machine), or auto (mirrored where there are several GPUs).",
        choices=("auto", "one_device", "mirrored"),
        decides=False,
    )
    chunk_micro_batches: int | None = setting(
        None, "Micro-batches handed to a replica at once; speed alone, never results. Unset: by size.",
        minimum=1, decides=False,
    )  # fmt: skip
    checkpoint_every: int = setting(10, "Epochs between checkpoints.", minimum=1, decides=False)
    keep_checkpoints: int = setting(3, "Newest checkpoints kept, beside the best.", minimum=1, decides=False)
    histograms_every: int = setting(
        0, "Epochs between weight histograms in TensorBoard; 0 for none.", minimum=0, decides=False
    )
    profile_steps: tuple[int, ...] = setting(
        (), "First and last step of a TensorBoard profile, such as 3,5.", minimum=1, decides=False
    )
    quiet: bool = setting(False, "Print errors only.", decides=False)
    tensorflow_log: bool = setting(False, "Show TensorFlow's start-up messages.", decides=False)
    dry_run: bool = setting(
        False, "Print the resolved configuration, model size, memory and cost, and stop.", decides=False
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if len(self.profile_steps) not in (0, 2) or list(self.profile_steps) != sorted(self.profile_steps):
            raise UserError(
                f"--profile_steps={','.join(map(str, self.profile_steps))}: two numbers, first and last step, such as 3,5."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """A run, whole.

    Raises:
        UserError: Settings that contradict each other.
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    step: StepConfig = field(default_factory=StepConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        self._check_batches()
        self._check_schedule()

    def _check_batches(self) -> None:
        update, micro, train = self.optimizer.batch_size, self.step.micro_batch_size, self.data.train_size
        if update is not None and micro > update:
            raise UserError(
                f"--micro_batch_size={micro} is larger than the update batch, --batch_size={update}: lower "
                "--micro_batch_size or raise --batch_size."
            )
        for name, value in (("micro_batch_size", micro), ("batch_size", update)):
            if train is not None and value is not None and value > train:
                raise UserError(
                    f"--{name}={value} is larger than the training set, --train_size={train}: lower --{name}."
                )

    def _check_schedule(self) -> None:
        optimizer, runtime = self.optimizer, self.runtime
        if optimizer.warmup_epochs > runtime.epochs:
            raise UserError(
                f"--warmup_epochs={optimizer.warmup_epochs:g} is longer than training, --epochs={runtime.epochs}: "
                "lower --warmup_epochs or raise --epochs."
            )
        if optimizer.schedule_epochs is not None and optimizer.warmup_epochs > optimizer.schedule_epochs:
            raise UserError(
                f"--warmup_epochs={optimizer.warmup_epochs:g} is longer than the schedule, --schedule_epochs="
                f"{optimizer.schedule_epochs:g}: lower --warmup_epochs or raise --schedule_epochs."
            )
        if (optimizer.schedule == "steps") != bool(optimizer.decay_epochs):
            raise UserError(
                f"--schedule={optimizer.schedule} with --decay_epochs={','.join(f'{e:g}' for e in optimizer.decay_epochs)}"
                ": --schedule=steps needs --decay_epochs, and no other schedule takes them."
            )
        if self.step.penalty_warmup_epochs and self.step.penalty == "none":
            raise UserError("--penalty_warmup_epochs without --penalty: choose a penalty or leave it at 0.")

    @property
    def schedule_epochs(self) -> float:
        """Horizon of the learning-rate schedule in epochs."""
        return self.optimizer.schedule_epochs or self.runtime.epochs

    def replacing(self, **settings: Any) -> "Config":
        """A copy with some settings changed, by name."""
        groups = self.to_dict()
        for group, setting_field in settings_fields():
            if setting_field.name in settings:
                groups[group][setting_field.name] = settings.pop(setting_field.name)
        if settings:
            raise TypeError(f"unknown settings: {', '.join(settings)}")
        return Config.from_dict(groups)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Group -> field -> value, JSON-able."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, groups: dict[str, dict[str, Any]]) -> "Config":
        """The inverse of `to_dict`.

        Raises:
            UserError: Unknown or missing groups or fields, or values out of range.
        """
        kinds = {f.name: f.default_factory for f in dataclasses.fields(cls)}
        if not isinstance(groups, dict) or set(groups) != set(kinds):
            raise UserError(
                f"a configuration has the groups {', '.join(kinds)}; this one has {_names(groups)}."
            )
        built = {}
        for name, kind in kinds.items():
            accepted = {f.name for f in dataclasses.fields(kind)}
            if not isinstance(groups[name], dict) or set(groups[name]) != accepted:
                raise UserError(f"configuration group {name!r}: expected {', '.join(sorted(accepted))}; "
                                f"got {_names(groups[name])}.")  # fmt: skip
            values = {k: tuple(v) if isinstance(v, list) else v for k, v in groups[name].items()}
            built[name] = kind(**values)
        return cls(**built)


def _names(value: Any) -> str:
    return ", ".join(sorted(map(str, value))) if isinstance(value, dict) else repr(value)[:60]


def settings_fields() -> list[tuple[str, dataclasses.Field]]:
    """(group name, field) of every setting, in order; field names are unique across groups."""
    return [
        (group.name, setting_field)
        for group in dataclasses.fields(Config)
        for setting_field in dataclasses.fields(group.default_factory)
    ]


def deciding_settings(config: Config) -> dict[str, Any]:
    """name -> value of every setting that decides a run's results, the schedule's horizon resolved."""
    settings = {
        setting_field.name: getattr(getattr(config, group), setting_field.name)
        for group, setting_field in settings_fields()
        if setting_field.metadata["decides"]
    }
    return settings | {"schedule_epochs": config.schedule_epochs}


def deciding_differences(old: Config, new: Config) -> list[tuple[str, Any, Any]]:
    """(name, old, new) of every setting that decides results and differs."""
    before, after = deciding_settings(old), deciding_settings(new)
    return [(name, before[name], after[name]) for name in before if before[name] != after[name]]
