"""What a study is asked to be: its flags, and the arms they describe; imports no TensorFlow."""

import dataclasses
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.run import Config, settings_fields
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.study_file import FILE_NAME, Arm, Published, Study
from tf_fullbatch.settings import flag_parsing, flagfiles
from tf_fullbatch.settings.fields import check_ranges, refuse_repeats, setting
from tf_fullbatch.settings.flag_parsing import help_lines

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")
_TAKEN = ("report", FILE_NAME)
_PUBLISHED = re.compile(r"(\S+)\s+(\d+(?:\.\d+)?)(?:\+-(\d+(?:\.\d+)?))?(?:\s+(.*))?")
_OWN = ("seed", "output_dir", "mode", "dry_run", "hparams")
"""Settings of a run that the study itself gives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The study's settings; each is a flag of the same name."""

    title: str = setting("", "A line about the study for its report.")
    row: tuple[str, ...] = setting(
        (),
        "An arm, 'NAME FLAGFILE [--name=value ...]': its name, a flagfile of tf_fullbatch.main (in a flagfile: looked "
        "for beside that one), and flags that win over it. Once per arm.",
        repeated=True,
    )
    all_rows: tuple[str, ...] = setting(
        (),
        "Flags of every arm, such as '--data_dir=DIR --model=resnet8'; they win over the arms' flagfiles, the arms' "
        "own flags win over them. May be given several times.",
        repeated=True,
    )
    seeds: tuple[int, ...] = setting(
        (0, 1, 2), "Seeds, separated by commas; every arm is run with each.", minimum=0, below=2**31
    )
    published: tuple[str, ...] = setting(
        (), "'NAME PERCENT[+-SPREAD] SOURCE': the published test accuracy of an arm.", repeated=True
    )
    compare: tuple[str, ...] = setting(
        (), "'A B': report the difference of arms A - B, seed by seed. Once per pair.", repeated=True
    )
    waterfall: tuple[str, ...] = setting(
        (), "Arms, separated by commas, that each add an ingredient to the one before."
    )
    output_dir: str | None = setting(None, "The study's folder; a study already there is gone on with.")
    jobs: int = setting(1, "Runs side by side, each in a process of its own.", minimum=1)
    dry_run: bool = setting(False, "Print the plan with its cost, and stop.")

    def __post_init__(self) -> None:
        check_ranges(self)
        refuse_repeats(self, ("seeds", "waterfall", "compare"))
        if len(self.waterfall) == 1:
            raise UserError(f"--waterfall={self.waterfall[0]}: give at least two arms, separated by commas.")
        if not self.seeds:
            raise UserError("--seeds= is empty: give at least one, such as --seeds=0,1,2.")
        if not self.row:
            raise UserError("a study needs arms: --row='NAME FLAGFILE [--name=value ...]', once per arm.")
        if self.output_dir is None:
            raise UserError("a study needs a folder: --output_dir=DIR.")


def parse(argv: Sequence[str]) -> tuple[Options, Study] | None:
    """The options and the study that command-line arguments describe; None where they ask for help.

    Args:
        argv: The program's name and its arguments.

    Raises:
        UserError: An unknown flag, a value that does not parse, or an arm, pair or figure that is refused.
    """
    own = dataclasses.fields(Options)
    names = {setting.name for _, setting in settings_fields()} - {field.name for field in own} - set(_OWN)
    of_runs = dict.fromkeys(
        names, "it is a setting of runs; give it in --row or --all_rows, and a study as --flagfile"
    )
    values = flag_parsing.parse([argv[0], *_located(argv[1:])], own, of_runs)
    if values is None:
        return None
    if values["output_dir"] is not None:
        values["output_dir"] = cli_flags.resolved_path("output_dir", values["output_dir"])
    options = Options(**values)
    return options, _study(options)


def help_text() -> str:
    """All flags with their defaults."""
    lines = [
        "usage: python -m tf_fullbatch.study [--flagfile=FILE] [--name=value ...]",
        "",
        "Runs every arm with every seed, one after another, each in a folder of its own. The same command goes on",
        "where it was interrupted; python -m tf_fullbatch.report DIR makes tables and plots of what is there.",
        "",
        "  --flagfile=FILE",
        "      Read flags from a file, one per line; later flags win. flags/studies has some.",
    ]
    return "\n".join(lines + [line for field in dataclasses.fields(Options) for line in help_lines(field)])


def _study(options: Options) -> Study:
    common = _split("all_rows", " ".join(options.all_rows))
    published: dict[str, Published] = {}
    for text in options.published:
        name, figure = _published(text)
        if name in published:
            raise UserError(f"--published={text!r}: arm {name!r} has a published figure already; give one.")
        published[name] = figure
    arms: list[Arm] = []
    for text in options.row:
        arm = _arm(text, common, published)
        if any(arm.name.lower() == other.name.lower() for other in arms):  # some file systems ignore case
            raise UserError(f"--row={text!r}: there are two arms {arm.name!r}; give each a name of its own.")
        arms.append(arm)
    names = [arm.name for arm in arms]
    pairs = tuple(_pair(text) for text in options.compare)
    _check_known("published", published, names)
    _check_known("compare", [name for pair in pairs for name in pair], names)
    _check_known("waterfall", options.waterfall, names)
    assert options.output_dir is not None
    return Study(
        title=options.title or Path(options.output_dir).name,
        arms=tuple(arms),
        seeds=options.seeds,
        compare=pairs,
        waterfall=options.waterfall,
        jobs=options.jobs,
    )


def _arm(text: str, common: Sequence[str], published: dict[str, Published]) -> Arm:
    name, *rest = _split("row", text) or [""]
    if name.lower() in _TAKEN:
        raise UserError(
            f"--row={text!r}: {name} is the study's own in its folder; give the arm another name."
        )
    if not _NAME.fullmatch(name):
        raise UserError(
            f"--row={text!r}: begin with a name of at most 60 letters, digits and . _ + - (it names a "
            "folder), then a flagfile."
        )
    if not rest or rest[0].startswith("-"):
        raise UserError(f"--row={text!r}: after the name, give the flagfile of a run, then its flags.")
    flagfile, *own = rest
    return Arm(
        name=name,
        config=_config(name, [f"--flagfile={flagfile}", *common, *own]),
        published=published.get(name),
    )


def _config(name: str, arguments: list[str]) -> Config:
    """The settings of an arm, those refused that are the study's own to give."""
    try:
        for argument in flagfiles.located_arguments(arguments):
            flag = argument.text.lstrip("-").partition("=")[0]
            if argument.text.startswith("-") and flag.removeprefix("no") in _OWN:
                raise UserError(
                    f"--{flag} is given by the study itself (see its --help); leave it out of the arm and its flagfile."
                )
        given = cli_flags.parse(["study", *arguments])
    except UserError as error:
        raise UserError(f"arm {name!r}: {error}") from error
    if given is None:
        raise UserError(f"arm {name!r}: --help is no setting of a run; leave it out.")
    return given


def _published(text: str) -> tuple[str, Published]:
    match = _PUBLISHED.fullmatch(text.strip())
    if match is None or float(match[2]) > 100:
        raise UserError(f"--published={text!r}: expected 'NAME PERCENT[+-SPREAD] SOURCE', such as 'sgd 95.70+-0.11 "
                        "Geiping et al. 2022'.")  # fmt: skip
    if not match[4]:
        raise UserError(f"--published={text!r}: say where the figure stands, after it.")
    spread = None if match[3] is None else float(match[3])
    return match[1], Published(accuracy=float(match[2]), spread=spread, source=match[4])


def _pair(text: str) -> tuple[str, str]:
    names = text.split()
    if len(names) != 2 or names[0] == names[1]:
        raise UserError(
            f"--compare={text!r}: expected the names of two arms, 'A B', for the difference A - B."
        )
    return names[0], names[1]


def _check_known(flag: str, given: Sequence[str] | dict[str, Published], names: Sequence[str]) -> None:
    for name in given:
        if name not in names:
            raise UserError(f"--{flag}: there is no arm {name!r}; the arms are {', '.join(names)}.")


def _located(arguments: Sequence[str]) -> list[str]:
    """The arguments without flagfiles, those that arms name found beside the flagfile that the arm stands in."""
    located = flagfiles.located_arguments(arguments)
    found: list[str] = []
    while located:
        argument = located.pop(0)
        flag, equals, text = argument.text.partition("=")
        name = flag.lstrip("-")
        if name not in ("row", "all_rows") or not flag.startswith("-") or not (equals or located):
            found.append(argument.text)
            continue
        folder = argument.folder
        if not equals:  # the value is the next argument
            text, folder = located[0].text, located.pop(0).folder
        parts = _split(name, text)
        for k, part in enumerate(parts):
            if name == "row" and k == 1 and not part.startswith("-"):
                parts[k] = str(flagfiles.flagfile_path(part, folder))
            elif part.lstrip("-").startswith("flagfile="):
                parts[k] = f"--flagfile={flagfiles.flagfile_path(part.partition('=')[2], folder)}"
        found.append(f"--{name}={shlex.join(parts)}")
    return found


def _split(flag: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UserError(f"--{flag}={text!r}: {error}.") from error
