"""The configuration of a whole run: the settings of all its components, and the checks across them."""

import dataclasses
import itertools
from dataclasses import dataclass, field
from typing import Any

from tf_fullbatch.analysis.settings import MeasureConfig
from tf_fullbatch.config import earlier
from tf_fullbatch.config.runtime import RuntimeConfig
from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.data.controls.settings import ControlConfig
from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.errors import UserError
from tf_fullbatch.models.settings import ModelConfig
from tf_fullbatch.optim.schedules.run_rates import RunRates
from tf_fullbatch.optim.settings import OptimizerConfig
from tf_fullbatch.settings.components import Group
from tf_fullbatch.settings.fields import refuse_without_effect


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """A run, whole.

    Raises:
        UserError: Settings that contradict each other.
    """

    data: DataConfig = field(default_factory=DataConfig)
    controls: ControlConfig = field(default_factory=ControlConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    step: StepConfig = field(default_factory=StepConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    measures: MeasureConfig = field(default_factory=MeasureConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        self._check_batches()
        self._check_schedule()
        self._check_data()
        start = self.runtime.swa_start_epoch
        if start is not None and start > self.total_epochs:
            raise UserError(
                f"--swa_start_epoch={start} is after the last pass, {self.total_epochs}: nothing would be averaged. "
                "Lower --swa_start_epoch or raise --epochs."
            )
        known = [setting_field.name for _, setting_field in settings_fields()]
        for name in self.runtime.hparams:
            if name not in known:
                raise UserError(f"--hparams={name}: there is no such setting (--help lists all).")
        if self.runtime.mode == "evaluate" and self.runtime.output_dir is None:
            raise UserError("--mode=evaluate needs --output_dir: the folder of a run.")
        if (
            self.model.step is not None
            and self.model.initial_weights is None
            and self.runtime.mode != "evaluate"
        ):
            raise UserError(
                f"--step={self.model.step} has no effect here: it is for --initial_weights or --mode=evaluate. "
                "Leave it out."
            )
        if self.runtime.mode == "evaluate" and self.runtime.dry_run:
            raise UserError("--dry_run plans a training; with --mode=evaluate leave it out.")

    def _check_batches(self) -> None:
        update, micro, train = self.optimizer.batch_size, self.step.micro_batch_size, self.data.train_size
        if update is not None and micro > update:
            raise UserError(
                f"--micro_batch_size={micro} is larger than the update batch, --batch_size={update}: lower "
                "--micro_batch_size or raise --batch_size."
            )
        if train is not None and not self.controls.changes_count:
            self.check_training_set(train)

    def check_training_set(self, samples: int) -> None:
        """Refuses batches that are larger than a training set of so many samples, their copies counted.

        Raises:
            UserError: One of them is.
        """
        size = f", --train_size={samples}" if samples == self.data.train_size else f" of {samples} samples"
        if copies := self.step.copies_per_pass - 1:
            samples *= 1 + copies
            size += f" in {1 + copies} copies"
        for name, value in (
            ("micro_batch_size", self.step.micro_batch_size),
            ("batch_size", self.optimizer.batch_size),
        ):
            # A micro-batch that nobody chose is all there is.
            chosen = name != "micro_batch_size" or value != StepConfig().micro_batch_size
            if value is not None and value > samples and chosen:
                raise UserError(f"--{name}={value} is larger than the training set{size}: lower --{name}.")

    def _check_schedule(self) -> None:
        optimizer, runtime = self.optimizer, self.runtime
        horizon = optimizer.schedule_epochs
        with_it = "" if horizon is None else f" (and --schedule_epochs={horizon:g} in proportion)"
        if optimizer.warmup_epochs > runtime.epochs:
            raise UserError(
                f"--warmup_epochs={optimizer.warmup_epochs:g} is longer than training, --epochs={runtime.epochs}: "
                f"lower --warmup_epochs{with_it} or raise --epochs."
            )
        if optimizer.schedule_epochs is not None and optimizer.warmup_epochs > optimizer.schedule_epochs:
            raise UserError(
                f"--warmup_epochs={optimizer.warmup_epochs:g} is longer than the schedule, --schedule_epochs="
                f"{optimizer.schedule_epochs:g}: lower --warmup_epochs or raise --schedule_epochs."
            )
        optimizer.chosen_schedule.check(self.schedule_epochs)
        if self.step.penalty == "none":  # whose strength is in proportion to the rate
            optimizer.refuse_a_rate_without_effect()
        if self.step.penalty_warmup_epochs > runtime.epochs:
            raise UserError(
                f"--penalty_warmup_epochs={self.step.penalty_warmup_epochs:g} is longer than training, --epochs="
                f"{runtime.epochs}: lower --penalty_warmup_epochs or raise --epochs."
            )
        if self.step.penalty_warmup_epochs and self.step.penalty == "none":
            raise UserError("--penalty_warmup_epochs without --penalty: choose a penalty or leave it at 0.")

    def _check_data(self) -> None:
        needed, there = self.step.whole_augmentation().channels, self.data.chosen_dataset.channels
        if None not in (needed, there) and needed != there:
            raise UserError(
                f"--augmentation={self.step.augmentation} needs images of {needed} channels, the {self.data.dataset} "
                f"have {there}: leave out what is for colours, such as --augmentation=crop4,cutout8."
            )
        if not self.data.validation_size:
            of_held_out = "without --validation_size (it is of samples held out of the training set)"
            refuse_without_effect(self.controls, ("noisy_validation",), of_held_out)
        if getattr(self.data.chosen_dataset, "random_resized_crop", False):
            self._check_crops()

    def _check_crops(self) -> None:
        """Refuses what does not go with crops that are drawn anew in each pass, as images are decoded."""
        step = self.step
        others = {
            f"--augment_copies={step.augment_copies}": step.augment_copies is not None,
            f"--max_up={step.max_up}": step.max_up > 1,  # its copies are made of the decoded image
            "--data_on_device=on": self.runtime.keeps_data_on_device is True,
        }
        for text in (text for text, given in others.items() if given):
            raise UserError(
                f"{text} with --random_resized_crop, whose crops are drawn anew in each pass, as images are decoded: "
                "leave one of them out."
            )

    @property
    def schedule_epochs(self) -> float:
        """Horizon of the learning-rate schedule in epochs."""
        return self.optimizer.schedule_epochs or self.runtime.epochs

    @property
    def total_epochs(self) -> int:
        """Passes over the training set, those appended included."""
        return self.stretch_ends[-1]

    @property
    def stretch_ends(self) -> tuple[int, ...]:
        """Passes completed at the end of the run's own passes, and of each of those that are appended."""
        return tuple(itertools.accumulate((self.runtime.epochs, *self.optimizer.extend_epochs)))

    def learning_rates(self, update_batch_size: int) -> RunRates:
        """The learning rate of every epoch.

        Args:
            update_batch_size: Samples whose gradient makes one step.

        Raises:
            UserError: A schedule that cannot be.
        """
        try:
            return self.optimizer.rates(update_batch_size, self.runtime.epochs)
        except ValueError as error:
            raise UserError(f"--schedule={self.optimizer.schedule}: {error}") from error

    def values(self) -> dict[str, Any]:
        """Setting -> value of every setting."""
        return {name: value for group in self.to_dict().values() for name, value in group.items()}

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
        return {name: getattr(self, name).to_flat() for name in _GROUPS}

    @classmethod
    def from_dict(cls, groups: dict[str, dict[str, Any]]) -> "Config":
        """The inverse of `to_dict`.

        Raises:
            UserError: Unknown or missing groups or fields, or values of another type or out of range.
        """
        if isinstance(groups, dict):
            groups = earlier.LATER_GROUPS | groups
        if not isinstance(groups, dict) or set(groups) != set(_GROUPS):
            raise UserError(
                f"a configuration has the groups {', '.join(_GROUPS)}; this one has {_names(groups)}."
            )
        built: dict[str, Any] = {name: _group(name, kind, groups[name]) for name, kind in _GROUPS.items()}
        return cls(**built)


def _group(name: str, kind: type[Group], values: Any) -> Group:
    """A group of its flat values; those of components that are not chosen may be lacking."""
    if not isinstance(values, dict):
        raise UserError(f"configuration group {name!r} is {_names(values)}, no settings.")
    values = earlier.completed(name, values)
    accepted = {field.name for field in kind.flat_fields()}
    lacking, unknown = accepted - set(values) - kind.idle_fields(values), set(values) - accepted
    if lacking or unknown:
        raise UserError(
            f"configuration group {name!r} lacks {_listed(lacking)}, and {_listed(unknown)} is unknown."
        )
    return kind.of(**values)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))[:200] or "nothing"


def _names(value: Any) -> str:
    return ", ".join(sorted(map(str, value))) if isinstance(value, dict) else repr(value)[:60]


_GROUPS: dict[str, type[Group]] = {
    "data": DataConfig,
    "controls": ControlConfig,
    "model": ModelConfig,
    "step": StepConfig,
    "optimizer": OptimizerConfig,
    "measures": MeasureConfig,
    "runtime": RuntimeConfig,
}


FILE_SETTINGS = ("dataset", "model", "optimizer", "loss", "augmentation")
"""The settings that may name a file of the user's, see `settings.part_names`."""


LOSS_SETTINGS = ("loss", "loss_options", "label_smoothing", "label_smoothing_form", "focal_gamma")
"""What changes the loss itself, whose values then do not compare; a cross-entropy that is recorded does."""


def settings_fields() -> list[tuple[str, dataclasses.Field]]:
    """(group name, field) of every setting, in order; field names are unique across groups."""
    return [(name, field_) for name, group in _GROUPS.items() for field_ in group.flat_fields()]


def fields_by_name() -> dict[str, dataclasses.Field]:
    """Setting -> its field, of every setting."""
    return {field_.name: field_ for _, field_ in settings_fields()}
