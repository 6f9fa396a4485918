"""The command `python -m tf_fullbatch.data`: a data set's classes counted, and a contact sheet of its augmentation."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_fullbatch.commands import console
from tf_fullbatch.config.cli_flags import resolved_path
from tf_fullbatch.config.run import Config
from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.data.controls.settings import ControlConfig
from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.display.tensorflow_log import quiet_tensorflow
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import flag_parsing, part_names
from tf_fullbatch.settings.fields import check_ranges, flag_text, setting

_OF_THE_STEP = ("augmentation", "augmentation_options", "augmentation_padding", "augment_copies", "seed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command's own settings, beside those of the data, the controls and the augmentation."""

    samples: int = setting(
        10, "Rows of the sheet: training samples, classes in turn.", minimum=1, maximum=100
    )
    epochs: int = setting(
        6,
        "Columns after the original: epochs 0, 1, ..., or with --augment_copies copies 0, 1, ..., at most all.",
        minimum=0,
        maximum=50,
    )
    sheet: bool = setting(True, "Draw the contact sheet; without it: counts alone.")
    output: str = setting("contact_sheet.png", "PNG file of the sheet.")

    def __post_init__(self) -> None:
        check_ranges(self)
        if Path(self.output).suffix.lower() != ".png":
            raise UserError(f"--output={self.output}: the sheet is a PNG; give a name that ends in .png.")
        if not Path(self.output).absolute().parent.is_dir():
            raise UserError(
                f"--output={self.output}: there is no folder {Path(self.output).absolute().parent}."
            )


def parse(argv: Sequence[str]) -> tuple[Options, Config] | None:
    """The options and the data's configuration; None where the arguments ask for help.

    Args:
        argv: The program's name and its arguments.

    Raises:
        UserError: An unknown flag, or a value that is refused.
    """
    values = flag_parsing.parse(argv, _fields())
    if values is None:
        return None
    if values["data_dir"] is not None:
        values["data_dir"] = resolved_path("data_dir", values["data_dir"])
    for name in ("dataset", "augmentation"):
        values[name] = part_names.absolute(values[name])
    data = {field.name: values[field.name] for field in DataConfig.flat_fields()}
    controls = {field.name: values[field.name] for field in ControlConfig.flat_fields()}
    step = {name: values[name] for name in _OF_THE_STEP}
    own = {field.name: values[field.name] for field in dataclasses.fields(Options)}
    config = Config(
        data=DataConfig.of(**data), controls=ControlConfig.of(**controls), step=StepConfig.of(**step)
    )
    return Options(**own), config


def _fields() -> list[dataclasses.Field]:
    step = [field for field in StepConfig.flat_fields() if field.name in _OF_THE_STEP]
    return [*DataConfig.flat_fields(), *ControlConfig.flat_fields(), *step, *dataclasses.fields(Options)]


def help_text() -> str:
    """What the command does, and all flags with their defaults."""
    lines = [
        "usage: python -m tf_fullbatch.data [--dataset=NAME] [--augmentation=LIST] [--name=value ...]",
        "",
        "Counts the classes of a data set's splits and draws training samples as training would see them: each row",
        "a sample, as it is and in epochs 0, 1, ...; of samples that are mixed, with the other's share. Label noise",
        "and the other controls act as in training, by --seed: what they did is said, and what changed labels were.",
        "",
    ]
    return "\n".join(lines + [line for field in _fields() for line in flag_parsing.help_lines(field)])


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; a user's mistake is one line on standard error."""
    return console.exit_code(argv, parse, help_text, _execute, "interrupted")


def _execute(parsed: tuple[Options, Config]) -> int:
    options, config = parsed
    console.use_tensorflow()
    with quiet_tensorflow():  # TensorFlow takes seconds to import
        from tf_fullbatch.run import data_views
        from tf_fullbatch.run.splits import load_splits
    splits = load_splits(config)
    sheet = None
    if options.sheet:
        sheet = data_views.augmented_samples(config, splits, options.samples, options.epochs)
    print("\n".join([data_views.class_counts(splits), *splits.notes]))
    if sheet is not None:
        from tf_fullbatch.display.contact_sheet import draw_contact_sheet

        title = " ".join([f"--augmentation={config.step.augmentation}", *_given(config.controls)])
        draw_contact_sheet(sheet, title).savefig(options.output, format="png", dpi=100)
        _, *changed = sheet.titles
        what = "epochs" if config.step.augment_copies is None else "copies"
        print(f"{options.output}: {len(sheet.labels)} samples, as they are and in {len(changed)} {what}")
    return 0


def _given(controls: ControlConfig) -> list[str]:
    """The controls as flags."""
    values = [(field, getattr(controls, field.name)) for field in ControlConfig.flat_fields()]
    return [f"--{field.name}={flag_text(field, value)}" for field, value in values if value != field.default]
