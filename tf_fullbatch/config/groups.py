"""The groups of a run's settings beside the step's: data, network, optimizer, runtime."""

import re
from dataclasses import dataclass

from tf_fullbatch.config.settings import check_ranges, refuse_without_effect, setting
from tf_fullbatch.errors import UserError

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
        absent = {
            "mlp": ("stem", "shortcut", "norm"),
            "linear": ("stem", "shortcut", "norm", "activation", "width"),
        }
        refuse_without_effect(self, absent.get(self.model, ()), f"with --model={self.model}")


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
        "gradient_descent (with momentum, Nesterov and coupled weight decay as published) or adamw (Keras', with "
        "betas 0.9 and 0.999).",
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
        if self.schedule != "steps":
            refuse_without_effect(self, ("decay_factor",), f"with --schedule={self.schedule}")
        if self.optimizer == "adamw":
            refuse_without_effect(self, ("momentum", "nesterov"), "with --optimizer=adamw")


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
        "Devices: one_device, mirrored (all GPUs of the machine), multi_worker (the cluster of TF_CONFIG), or auto "
        "(multi_worker where TF_CONFIG names a cluster, else mirrored where there are several GPUs).",
        choices=("auto", "one_device", "mirrored", "multi_worker"),
        decides=False,
    )
    num_replicas: int | None = setting(
        None, "Devices to mirror over. Unset: all visible ones.", minimum=1, decides=False
    )
    simulate_devices: int = setting(
        0,
        "Make this many logical CPUs, to try several replicas anywhere; 0 for none.",
        minimum=0,
        decides=False,
    )
    deterministic: bool = setting(
        False,
        "Bit-identical weights on a rerun, a resume and for any chunk size, on the same kind and number of devices.",
        decides=False,
    )
    chunk_micro_batches: int | None = setting(
        None, "Micro-batches handed to a replica at once; speed alone, never results. Unset: by size.",
        minimum=1, decides=False,
    )  # fmt: skip
    checkpoint_every: str = setting(
        "10m",
        "Steps between checkpoints, or minutes: 10m. The last step, the best by validation, and the last before an "
        "interruption are saved in any case.",
        decides=False,
    )
    keep_checkpoints: int = setting(3, "Newest checkpoints kept, beside the best.", minimum=1, decides=False)
    histograms_every: int = setting(
        0, "Epochs between weight histograms in TensorBoard; 0 for none.", minimum=0, decides=False
    )
    profile_steps: tuple[int, ...] = setting(
        (), "First and last step of a TensorBoard profile, such as 3,5.", minimum=1, decides=False
    )
    hparams: tuple[str, ...] = setting(
        (),
        "Settings that are columns of TensorBoard's HParams tab, separated by commas. Empty: all that decide results.",
        decides=False,
    )
    quiet: bool = setting(False, "Print errors, warnings and what was asked for only.", decides=False)
    tensorflow_log: bool = setting(False, "Show TensorFlow's start-up messages.", decides=False)
    dry_run: bool = setting(
        False, "Print the resolved configuration, model size, memory and cost, and stop.", decides=False
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if len(self.profile_steps) not in (0, 2) or list(self.profile_steps) != sorted(self.profile_steps):
            given = ",".join(map(str, self.profile_steps))
            raise UserError(
                f"--profile_steps={given}: give two ascending numbers, first and last step, such as 3,5."
            )
        if self.strategy in ("one_device", "multi_worker"):
            refuse_without_effect(self, ("num_replicas",), f"with --strategy={self.strategy}")
        if not re.fullmatch(r"[1-9]\d{0,8}m?", self.checkpoint_every):
            raise UserError(
                f"--checkpoint_every={self.checkpoint_every}: give steps, such as 50, or minutes, such as 10m."
            )

    @property
    def checkpoint_steps(self) -> int | None:
        """Steps between checkpoints; None where they are timed."""
        return None if self.checkpoint_every.endswith("m") else int(self.checkpoint_every)

    @property
    def checkpoint_seconds(self) -> float | None:
        """Seconds between checkpoints; None where steps are counted."""
        return 60.0 * int(self.checkpoint_every[:-1]) if self.checkpoint_every.endswith("m") else None
