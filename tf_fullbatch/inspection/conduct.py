"""Asks questions of runs: opens these, answers or finds the answers of before, and keeps them."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tf_fullbatch.display.text import format_table
from tf_fullbatch.inspection.base import Figure, Question
from tf_fullbatch.inspection.opening import Opener
from tf_fullbatch.inspection.options import Options
from tf_fullbatch.inspection.plan import Place
from tf_fullbatch.inspection.result_folder import ResultFolder
from tf_fullbatch.inspection.subject import Subject, refuse_other_shapes
from tf_fullbatch.inspection.work import Work


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question was answered.

    Attributes:
        what: The question.
        subjects: The weights, in words.
        folder: Where the results are.
        figures: The figures.
        gradient_evaluations: Per sample, spent on the answer; in earlier processes too.
        was_there: Whether it was complete before.
    """

    what: str
    subjects: tuple[str, ...]
    folder: Path
    figures: tuple[Figure, ...]
    gradient_evaluations: float
    was_there: bool

    def table(self) -> str:
        """The figures as text."""
        rows = [
            [
                figure.quantity.replace("_", " "),
                figure.of,
                f"{figure.value:.6g}",
                None if figure.standard_error is None else f"{figure.standard_error:.2g}",
                figure.remark,
            ]
            for figure in self.figures
        ]
        return format_table(["figure", "of", "value", "standard error", "remark"], rows, "<<>><")


class Conduct:
    """Asks questions of weights.

    Args:
        options: What is asked.
        opener: Opens runs.
        out: Where results are told; None to tell nothing.
        log: Where progress is told; None to tell nothing.
    """

    def __init__(
        self, options: Options, opener: Opener, out: TextIO | None = None, log: TextIO | None = None
    ):
        self._options = options
        self._opener = opener
        self._out, self._log = out, log
        self._questions = options.questions()

    def answers(self, places: Sequence[Place]) -> list[Answer]:
        """The answers, run by run, and then those that are about several runs.

        Raises:
            UserError: A question has no answer there. Answers before it are kept.
        """
        found, kept = [], []
        alone = {name: q for name, q in self._questions.items() if q.weights == "each"}
        together = {name: q for name, q in self._questions.items() if q.weights != "each"}
        for place in places:
            subject = self._opener.open(place)
            for question in alone.values():  # before the first of them takes its time
                question.check([subject])
            found += [self._answer(name, question, [subject]) for name, question in alone.items()]
            if together:
                kept.append(subject)
        if together:
            refuse_other_shapes(kept)
            for question in together.values():
                question.check(kept)
        return found + [self._answer(name, question, kept) for name, question in together.items()]

    def _answer(self, name: str, question: Question, subjects: list[Subject]) -> Answer:
        statistics = self._options.statistics or question.statistics(self._options.split)
        folder = self._folder(name, question, subjects, statistics)
        self._say(self._out, f"\n{name} of {'; '.join(map(str, subjects))}")
        for line in _conditions(subjects, question.looked_at(statistics)):
            self._say(self._out, f"  {line}")
        was_there = folder.is_complete
        if was_there:
            figures, spent = folder.read_figures()
        else:
            figures, spent = self._computed(name, question, subjects, statistics, folder)
        answer = Answer(name, tuple(map(str, subjects)), folder.path, tuple(figures), spent, was_there)
        self._say(self._out, answer.table())
        there = "was there already" if was_there else "wrote"
        self._say(self._out, f"{spent:.4g} gradient evaluations per sample; {there}: {folder.path}")
        return answer

    def _computed(
        self, name: str, question: Question, subjects: list[Subject], statistics: str, folder: ResultFolder
    ) -> tuple[list[Figure], float]:
        if folder.exists:
            self._say(self._log, f"{name}: goes on in {folder.path}")
        work = Work(folder, subjects, statistics, lambda text: self._say(self._log, f"{name}: {text}"))
        figures = list(question.answer(subjects, work))
        folder.write_figures(figures, work.evaluations)
        return figures, work.evaluations

    def _folder(
        self, name: str, question: Question, subjects: list[Subject], statistics: str
    ) -> ResultFolder:
        first = subjects[0]
        settings: Mapping[str, Any] = {
            "what": name,
            "options": dataclasses.asdict(question),
            "runs": [_identity(subject, question.looked_at(statistics)) for subject in subjects],
            **question.identity(subjects),
        }
        averaged = "" if first.weights == "raw" else f"-{first.weights}"
        label = f"step-{first.run.step:08d}{averaged}-{name}"
        if self._options.output_dir is None:
            return ResultFolder.of(first.run.path / "analysis", label, settings)
        return ResultFolder.of(Path(self._options.output_dir), f"{first.name}-{label}", settings)

    def _say(self, stream: TextIO | None, text: str) -> None:
        if stream is not None:
            print(text, file=stream, flush=True)


def _conditions(subjects: Sequence[Subject], kinds: Sequence[str]) -> list[str]:
    """What the losses are functions of: once where it is the same for all."""
    each = [subject.conditions(kinds) for subject in subjects]
    found = []
    for key, words in each[0].items():
        if all(one[key] == words for one in each):
            found.append(f"{key}: {words}")
        else:
            found += [f"{key} of {subject}: {one[key]}" for subject, one in zip(subjects, each, strict=True)]
    return found


def _identity(subject: Subject, kinds: Sequence[str]) -> Mapping[str, Any]:
    return {
        "run": subject.run.path.resolve().name,
        "step": subject.run.step,
        "weights": subject.digest(),
        **subject.conditions(kinds),
    }
