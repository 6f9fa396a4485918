"""The flags of the command `python -m tf_fullbatch.study`."""

import dataclasses
from dataclasses import dataclass

from tf_fullbatch.errors import UserError
from tf_fullbatch.records.study_file import SWEEP_SEED
from tf_fullbatch.settings.fields import check_ranges, refuse_repeats, refuse_without_effect, setting
from tf_fullbatch.settings.flag_parsing import help_lines

CHOOSE_BY = ("validation_accuracy", "validation_error", "validation_loss")
OLDER_SPELLINGS = {"row": "arm", "all_rows": "all_arms"}
"""Of version 0.1.0; accepted for good."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The study's settings; each is a flag of the same name."""

    title: str = setting("", "A line about the study for its report.")
    arm: tuple[str, ...] = setting(
        (),
        "An arm, 'NAME [FLAGFILE] [--name=value ...]': its name, a flagfile of tf_fullbatch.main (in a flagfile: "
        "looked for beside that one; without one, the defaults), and flags that win over it. Once per arm. --row is "
        "its older spelling.",
        repeated=True,
    )
    all_arms: tuple[str, ...] = setting(
        (),
        "Flags of every arm, such as '--data_dir=DIR --model=resnet8'; they win over the arms' flagfiles, the arms' "
        "own flags win over them. May be given several times. --all_rows is its older spelling.",
        repeated=True,
    )
    seeds: tuple[int, ...] = setting(
        (0, 1, 2), "Seeds, separated by commas; every arm is run with each.", minimum=0, below=2**31
    )
    sweep: tuple[str, ...] = setting(
        (),
        "'[ARM:] NAME=VALUE,VALUE,...': values of a setting to try, of one arm or of all; several sweeps of an arm "
        "make a grid. Each combination is a trial with a seed of its own; what is best on validation samples is run "
        "with the study's seeds. A value with commas stands in double quotes: "
        'model_options="depth=2,width=8","depth=3".',
        repeated=True,
    )
    sweep_seed: int = setting(
        SWEEP_SEED, "Seed of all trials of sweeps, none of --seeds.", minimum=0, below=2**31
    )
    choose_by: str | None = setting(
        None,
        "Figure of the validation samples, at the end of a trial, that chooses. Unset: validation_accuracy, or "
        "validation_loss where there is no accuracy.",
        choices=CHOOSE_BY,
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
    launcher: str = setting(
        "local",
        "local: processes on this machine. slurm: every run is a job of a SLURM cluster (submitit; pip install "
        "'tf-fullbatch[slurm]'), all at once; a preempted one goes on. Ctrl-C ends the waiting and not the jobs.",
        choices=("local", "slurm"),
    )
    slurm_options: str | None = setting(
        None,
        "What sbatch takes, 'key=value,...', such as 'partition=gpu,gpus_per_node=1,cpus_per_task=8,timeout_min=600'. "
        "Unset: 240 minutes a job, after which the run goes on in another.",
        options=True,
    )
    dry_run: bool = setting(
        False,
        "Print the plan with its cost, and with its time where runs of the study are finished, and stop.",
    )
    calibrate: bool = setting(
        False,
        "With --dry_run: measure how long each kind of run takes, on this machine, in about 15 s per kind.",
    )

    def __post_init__(self) -> None:
        _refuse_other_figures(self.choose_by)
        check_ranges(self)
        refuse_repeats(self, ("seeds", "waterfall", "compare"))
        if len(self.waterfall) == 1:
            raise UserError(f"--waterfall={self.waterfall[0]}: give at least two arms, separated by commas.")
        if not self.seeds:
            raise UserError("--seeds= is empty: give at least one, such as --seeds=0,1,2.")
        if not self.arm:
            raise UserError("a study needs arms: --arm='NAME [FLAGFILE] [--name=value ...]', once per arm.")
        if self.output_dir is None:
            raise UserError("a study needs a folder: --output_dir=DIR.")
        self._check_sweep()
        if self.calibrate and (not self.dry_run or self.launcher == "slurm"):
            raise UserError(
                "--calibrate measures this machine for the plan of --dry_run, with --launcher=local: leave it out."
            )
        if self.launcher == "slurm":
            refuse_without_effect(self, ("jobs",), "with --launcher=slurm, which submits all runs at once")
        else:
            refuse_without_effect(self, ("slurm_options",), "without --launcher=slurm")

    def _check_sweep(self) -> None:
        if self.sweep and self.sweep_seed in self.seeds:
            raise UserError(
                f"--sweep_seed={self.sweep_seed} is one of --seeds: what was chosen with a seed looks too good with "
                "it. Give another."
            )
        if not self.sweep and (self.choose_by is not None or self.sweep_seed != SWEEP_SEED):
            name = "choose_by" if self.choose_by is not None else "sweep_seed"
            raise UserError(f"--{name}={getattr(self, name)} has no effect without --sweep: leave it out.")


def _refuse_other_figures(choose_by: str | None) -> None:
    if choose_by is not None and choose_by not in CHOOSE_BY:
        why = "test data choose nothing" if "test" in choose_by else "only validation samples choose"
        raise UserError(f"--choose_by={choose_by}: {why}; accepted are {', '.join(CHOOSE_BY)}.")


def help_text() -> str:
    """All flags with their defaults."""
    lines = [
        "usage: python -m tf_fullbatch.study [--flagfile=FILE] [--name=value ...]",
        "",
        "Runs every arm with every seed, one after another, each in a folder of its own. The same command goes on",
        "where it was interrupted; python -m tf_fullbatch.report DIR makes tables and plots of what is there.",
        "",
        "  --flagfile=FILE",
        "      Read flags from a file, one per line; later flags win. recipe:studies/NAME is one that is",
        "      shipped, such as recipe:studies/digits_ladder; recipe: alone lists them.",
    ]
    return "\n".join(lines + [line for field in dataclasses.fields(Options) for line in help_lines(field)])
