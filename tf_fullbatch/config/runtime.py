"""Settings of a run that belong to no component: length, precision, devices, evaluation, output."""

import re
from dataclasses import dataclass

from tf_fullbatch.errors import UserError
from tf_fullbatch.scaling.cluster import Cluster, parsed
from tf_fullbatch.scaling.devices import DEVICES
from tf_fullbatch.settings.components import Group
from tf_fullbatch.settings.fields import refuse_repeats, refuse_without_effect, setting

DTYPE_POLICIES = ("float32", "tf32", "float64", "mixed_bfloat16")
LOGGERS = ("wandb", "mlflow")
"""What `display.loggers.registry` has."""
GOALS = ("stop_at_loss", "stop_after_perfect", "stop_at_gradient_norm", "stop_after_evaluations")
"""The settings that end a run early, in the order in which they are looked at."""
TENSORBOARD_AXES = ("step", "passes", "gradient_evaluations")


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeConfig(Group):
    """Length, precision, evaluation, and what is written where."""

    epochs: int = setting(
        60, "Passes over the training set; a full-batch step is one.", minimum=1, affects_results=False
    )
    stop_at_loss: float | None = setting(
        None,
        "End after the first pass whose mean training loss, without the penalty, is at or below this.",
        affects_results=False,
    )
    stop_after_perfect: int | None = setting(
        None,
        "End after so many passes in a row that classify every training sample correctly.",
        minimum=1,
        affects_results=False,
    )
    stop_at_gradient_norm: float | None = setting(
        None,
        "End after the first pass whose gradient norm, before clipping, is at or below this.",
        minimum=0,
        affects_results=False,
    )
    stop_after_evaluations: float | None = setting(
        None,
        "End after the first pass by whose end so many gradient evaluations per training sample were spent.",
        above=0,
        affects_results=False,
    )
    dtype_policy: str = setting(
        "float32",
        "float32 (also on GPUs), tf32 (float32 with TF32 matrix products on GPUs), float64 or mixed_bfloat16.",
        choices=DTYPE_POLICIES,
    )
    evaluate_every: int = setting(
        1, "Epochs between evaluations; the last epoch is always evaluated.", minimum=1, affects_results=False
    )
    evaluate_test: bool = setting(
        True,
        "Evaluate the test samples too. Off in the trials of a sweep, which choose by validation samples.",
        affects_results=False,
    )
    ema_decay: float | None = setting(
        None,
        "Decay per pass of an exponential moving average of the weights, evaluated beside them.",
        above=0,
        below=1,
    )
    swa_start_epoch: int | None = setting(
        None,
        "Average the weights after this pass and each later one uniformly (SWA), evaluated beside them with "
        "normalisation statistics of their own.",
        minimum=1,
    )
    output_dir: str | None = setting(
        None,
        "Run folder; a run already there is resumed. Unset: runs/DATASET-MODEL-...",
        affects_results=False,
    )
    mode: str = setting(
        "train",
        "train, or evaluate the finished run in --output_dir.",
        choices=("train", "evaluate"),
        affects_results=False,
    )
    strategy: str = setting(
        "auto",
        "Devices: one_device, mirrored (all GPUs of the machine), multi_worker (the cluster of TF_CONFIG), or auto "
        "(multi_worker where TF_CONFIG names a cluster, else mirrored where there are several GPUs).",
        choices=("auto", "one_device", "mirrored", "multi_worker"),
        affects_results=False,
    )
    num_replicas: int | None = setting(
        None, "Devices to mirror over. Unset: all visible ones.", minimum=1, affects_results=False
    )
    simulate_devices: int = setting(
        0,
        "Make this many logical CPUs, to try several replicas anywhere; 0 for none.",
        minimum=0,
        affects_results=False,
    )
    deterministic: bool = setting(
        False,
        "Bit-identical weights on a rerun, a resume and for any --chunk_micro_batches, on the same kind and number of "
        "devices.",
        affects_results=False,
    )
    chunk_micro_batches: int | None = setting(
        None,
        "Micro-batches of each replica per call and, where samples stream, per chunk; speed alone, never results. "
        "Unset: calls of about 0.25 s, chunks of 4 (16 on a GPU) of 64 MiB at most.",
        minimum=1, maximum=2**30, affects_results=False,
    )  # fmt: skip
    data_on_device: str = setting(
        "auto",
        "Keep the samples on the device (on), or stream them from the host (off); auto: keep them where they take a "
        "quarter of its memory at most. Samples of several workers stream. Speed and memory alone, never results.",
        choices=("auto", "on", "off"),
        affects_results=False,
    )
    checkpoint_every: str = setting(
        "10m",
        "Steps between checkpoints, or minutes: 10m. The last step, the best by validation, and the last before an "
        "interruption are saved in any case.",
        affects_results=False,
    )
    keep_checkpoints: int = setting(
        3, "Newest checkpoints kept, beside the best.", minimum=1, affects_results=False
    )
    histograms_every: int = setting(
        0, "Epochs between weight histograms in TensorBoard; 0 for none.", minimum=0, affects_results=False
    )
    profile_steps: tuple[int, ...] = setting(
        (), "First and last step of a TensorBoard profile, such as 3,5.", minimum=1, affects_results=False
    )
    tensorboard_axes: tuple[str, ...] = setting(
        ("step",),
        "Horizontal axes of TensorBoard's charts, separated by commas; each but step as runs of its own: "
        "train-by_passes, train-by_gradient_evaluations.",
        choices=TENSORBOARD_AXES,
        affects_results=False,
    )
    hparams: tuple[str, ...] = setting(
        (),
        "Settings that TensorBoard's HParams tab has of this run, separated by commas. Empty: all that decide results.",
        affects_results=False,
    )
    loggers: tuple[str, ...] = setting(
        (),
        "Beside TensorBoard: wandb (Weights & Biases), mlflow, or both; kept in the run's folder unless WANDB_MODE or "
        "MLFLOW_TRACKING_URI says otherwise.",
        choices=LOGGERS,
        affects_results=False,
    )
    quiet: bool = setting(False, "Print errors, warnings and what was asked for only.", affects_results=False)
    tensorflow_log: bool = setting(False, "Show TensorFlow's start-up messages.", affects_results=False)
    dry_run: bool = setting(
        False,
        "Print the resolved configuration, model size, memory and cost, and stop.",
        affects_results=False,
    )
    cluster: str | None = setting(
        None,
        "With --dry_run: also print what a step and the run would take on this cluster, [SITESx]NODESxDEVICES:KIND, "
        f"such as 64x8:h100; kinds are {', '.join(DEVICES)}. Own numbers follow: 64x8:h100,between=10Gbit,spread=0.05,"
        "mtbf=1000h (docs/scaling.md). Data sets of known sizes are not loaded.",
        affects_results=False,
    )
    cluster_efficiency: float | None = setting(
        None,
        "Share of the devices' peak arithmetic that training is taken to reach in --cluster. Unset: by device and "
        "precision.",
        above=0,
        maximum=1,
        affects_results=False,
    )

    def __post_init__(self) -> None:
        Group.__post_init__(self)
        if len(self.profile_steps) not in (0, 2) or list(self.profile_steps) != sorted(self.profile_steps):
            given = ",".join(map(str, self.profile_steps))
            raise UserError(
                f"--profile_steps={given}: give two ascending numbers, first and last step, such as 3,5."
            )
        refuse_repeats(self, ("tensorboard_axes", "loggers"))
        if not self.dry_run:
            refuse_without_effect(self, ("cluster",), "without --dry_run")
        if self.cluster is None:
            refuse_without_effect(self, ("cluster_efficiency",), "without --cluster")
        else:
            parsed(self.cluster, self.cluster_efficiency)
        if self.ema_decay is not None and self.swa_start_epoch is not None:
            raise UserError(
                f"--ema_decay={self.ema_decay:g} and --swa_start_epoch={self.swa_start_epoch} are two averages of the "
                "weights: choose one of them."
            )
        if self.strategy in ("one_device", "multi_worker"):
            refuse_without_effect(self, ("num_replicas",), f"with --strategy={self.strategy}")
        if not re.fullmatch(r"[1-9]\d{0,8}m?", self.checkpoint_every):
            raise UserError(
                f"--checkpoint_every={self.checkpoint_every}: give steps, such as 50, or minutes, such as 10m."
            )

    @property
    def planned_cluster(self) -> Cluster | None:
        """The cluster that --dry_run also plans for; None for none."""
        return None if self.cluster is None else parsed(self.cluster, self.cluster_efficiency)

    @property
    def goals(self) -> dict[str, float]:
        """Goal -> its limit, of those that are set."""
        limits = {name: getattr(self, name) for name in GOALS}
        return {name: limit for name, limit in limits.items() if limit is not None}

    @property
    def keeps_data_on_device(self) -> bool | None:
        """Whether samples stay on the device; None where their size decides."""
        return {"auto": None, "on": True, "off": False}[self.data_on_device]

    @property
    def checkpoint_steps(self) -> int | None:
        """Steps between checkpoints; None where they are timed."""
        return None if self.checkpoint_every.endswith("m") else int(self.checkpoint_every)

    @property
    def checkpoint_seconds(self) -> float | None:
        """Seconds between checkpoints; None where steps are counted."""
        return 60.0 * int(self.checkpoint_every[:-1]) if self.checkpoint_every.endswith("m") else None
