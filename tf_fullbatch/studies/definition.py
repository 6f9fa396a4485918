"""What a study is asked to be: its flags, and the arms they describe; imports no TensorFlow."""

import dataclasses
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.run import Config, settings_fields
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.study_file import FILE_NAME, Arm, Published, Study
from tf_fullbatch.records.trials_file import TRIALS_FILE_NAME, TRIALS_FOLDER
from tf_fullbatch.settings import flag_parsing, flagfiles
from tf_fullbatch.studies.cluster import JOBS_FOLDER
from tf_fullbatch.studies.options import OLDER_SPELLINGS, Options
from tf_fullbatch.studies.sweeps import swept_arms

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")
_TAKEN = ("report", FILE_NAME, TRIALS_FOLDER, TRIALS_FILE_NAME, JOBS_FOLDER)
_PUBLISHED = re.compile(r"(\S+)\s+(\d+(?:\.\d+)?)(?:\+-(\d+(?:\.\d+)?))?(?:\s+(.*))?")
_OWN = ("seed", "output_dir", "mode", "dry_run", "hparams")
"""Settings of a run that the study itself gives."""
_ONE_WORD = "a name is one word of at most 60 letters, digits and . _ + - (it names a folder)"


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
        names, "it is a setting of runs; give it in --arm or --all_arms, and a study as --flagfile"
    )
    values = flag_parsing.parse([argv[0], *_located(argv[1:])], own, of_runs)
    if values is None:
        return None
    if values["output_dir"] is not None:
        values["output_dir"] = cli_flags.resolved_path("output_dir", values["output_dir"])
    options = Options(**values)
    return options, _study(options)


def _study(options: Options) -> Study:
    common = _split("all_arms", " ".join(options.all_arms))
    published: dict[str, Published] = {}
    for text in options.published:
        name, figure = _published(text)
        if name in published:
            raise UserError(f"--published={text!r}: arm {name!r} has a published figure already; give one.")
        published[name] = figure
    arms: list[Arm] = []
    for text in options.arm:
        arm = _arm(text, common, published)
        if any(arm.name.lower() == other.name.lower() for other in arms):  # some file systems ignore case
            raise UserError(f"--arm={text!r}: there are two arms {arm.name!r}; give each a name of its own.")
        arms.append(arm)
    names = [arm.name for arm in arms]
    pairs = tuple(_pair(text) for text in options.compare)
    _check_known("published", published, names)
    _check_known("compare", [name for pair in pairs for name in pair], names)
    _check_known("waterfall", options.waterfall, names)
    assert options.output_dir is not None
    return Study(
        title=options.title or Path(options.output_dir).name,
        arms=swept_arms(options.sweep, arms, options.choose_by),
        seeds=options.seeds,
        compare=pairs,
        waterfall=options.waterfall,
        jobs=options.jobs,
        sweep_seed=options.sweep_seed,
        choose_by=options.choose_by,
    )


def _arm(text: str, common: Sequence[str], published: dict[str, Published]) -> Arm:
    name, *rest = _split("arm", text) or [""]
    if name.lower() in _TAKEN:
        raise UserError(
            f"--arm={text!r}: {name} is the study's own in its folder; give the arm another name."
        )
    if not _NAME.fullmatch(name):
        better = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip("_.+-")[:60] or "plain"
        raise UserError(f"--arm={text!r}: the name is {name!r}, but {_ONE_WORD}: {better}, say.")
    flagfile = [f"--flagfile={part}" for part in rest[:1] if not part.startswith("-")]
    flags = rest[len(flagfile) :]
    if flagfile and flags and not flags[0].startswith("-"):
        raise UserError(
            f"--arm={text!r}: the first word, {name!r}, is the name, so {Path(rest[0]).name!r} and {flags[0]!r} are "
            f"two flagfiles; give one. If they belong to the name: {_ONE_WORD}."
        )
    if flagfile and not rest[0].startswith(flagfiles.RECIPE) and not _is_file(rest[0]):
        raise UserError(
            f"arm {name!r}: {flagfile[0]}: cannot read it (no such file). The first word of --arm is the name, the "
            f"second a flagfile; {_ONE_WORD}."
        )
    return Arm(
        name=name,
        config=_config(name, [*flagfile, *common, *flags]),
        published=published.get(name),
    )


def _is_file(path: str) -> bool:
    try:
        return Path(path).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):
        return False


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
    """The arguments without flagfiles and older spellings, those that arms name found beside their study's flagfile."""
    located = flagfiles.located_arguments(arguments)
    found: list[str] = []
    while located:
        argument = located.pop(0)
        flag, equals, text = argument.text.partition("=")
        name = OLDER_SPELLINGS.get(flag.lstrip("-"), flag.lstrip("-"))
        if name not in OLDER_SPELLINGS.values() or not flag.startswith("-") or not (equals or located):
            found.append(argument.text)
            continue
        folder = argument.folder
        if not equals:  # the value is the next argument
            text, folder = located[0].text, located.pop(0).folder
        parts = _split(name, text)
        for k, part in enumerate(parts):
            if name == "arm" and k == 1 and not part.startswith("-"):
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
