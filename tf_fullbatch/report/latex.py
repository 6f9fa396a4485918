"""Tables for LaTeX: booktabs, escaped, means and spreads aligned at their ±."""

import textwrap
import unicodedata
from collections.abc import Sequence

from tf_fullbatch.report.arms import Comparison
from tf_fullbatch.report.tables import Table, sources_of

_ESCAPED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "'": r"\textquotesingle{}", "`": r"\textasciigrave{}",
    "±": r"$\pm$", "\N{MINUS SIGN}": "$-$", "\xd7": r"$\times$", "\N{EN DASH}": "--",
    "\N{EM DASH}": "---", "…": r"\dots{}", "\xa0": "~",
}  # fmt: skip
_LAST_OF_LATIN = 0x17F
_LEFT_OUT = (
    "each seed", "device", "samples seen", "gradient evaluations per sample", "validation", "training cross",
    "training objective",
)  # fmt: skip
"""How columns begin that are left to arms.csv: a page is not wide."""
_DISPENSABLE = ("wall time", "training", "EMA weights", "SWA weights", "gradient evaluations")
"""How columns begin that are left out where the table is wider than the text, in this order."""
_TEXT_WIDTH = 345
"""Of LaTeX's article, in points."""
_SIZES = (("small", 4.7), ("footnotesize", 4.3), ("scriptsize", 4.0))
"""Sizes of letters, and the width of a letter or digit in points."""
_SEPARATION = 6
"""Points between two columns."""
_MOST_LINES_OF_A_FLOAT = 40
_HEADER_LINE = 11
_NEW_LINE = r"\\"


def arms_table(comparison: Comparison, table: Table) -> str:
    """The table of arms with its columns for papers, as a LaTeX table, or a longtable where it is long.

    It needs the packages booktabs and, where long, longtable.
    """
    kept = [k for k, header in enumerate(table.headers) if not header.startswith(_LEFT_OUT)]
    columns = [_Column(table.headers[k], table.align[k], [row[k] for row in table.rows]) for k in kept]
    size, columns = _fitting(columns)
    lines = [" & ".join(cells) + r" \\" for cells in zip(*(column.cells for column in columns), strict=True)]
    long = len(lines) > _MOST_LINES_OF_A_FLOAT
    alignment = "@{}" + "".join(column.alignment for column in columns) + "@{}"
    head = [r"\toprule", " & ".join(column.header for column in columns) + r" \\", r"\midrule"]
    caption, label = rf"\caption{{{_caption(comparison)}}}", r"\label{tab:arms}"
    needs = "booktabs, longtable" if long else "booktabs"
    font = rf"\{size}\setlength{{\tabcolsep}}{{{_SEPARATION / 2:g}pt}}"
    begin = [
        f"% \\usepackage{{{needs}}}, and \\usepackage[T1]{{fontenc}} for letters with accents. arms.csv has all digits."
    ]
    if long:
        begin += [rf"\begingroup{font}", rf"\begin{{longtable}}{{{alignment}}}"]
        begin += [
            caption,
            label + r" \\",
            *head,
            r"\endfirsthead",
            *head,
            r"\endhead",
            r"\bottomrule",
            r"\endlastfoot",
        ]
        return "\n".join([*begin, *lines, r"\end{longtable}", r"\endgroup", ""])
    begin += [r"\begin{table}", rf"\centering{font}"]
    begin += [r"\setlength{\abovecaptionskip}{0pt}\setlength{\belowcaptionskip}{6pt}", caption, label]
    begin += [rf"\begin{{tabular}}{{{alignment}}}", *head]
    return "\n".join([*begin, *lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _fitting(columns: Sequence["_Column"]) -> tuple[str, list["_Column"]]:
    """A size of letters and the columns with which a table is no wider than the text, as far as that can be."""
    kept = list(columns)
    for size, letter in _SIZES[:2]:
        if _width(kept, letter) <= _TEXT_WIDTH:
            return size, kept
    for beginning in _DISPENSABLE:
        kept = [column for column in kept if not column.name.startswith(beginning)]
        if _width(kept, letter) <= _TEXT_WIDTH:
            return size, kept
    return _SIZES[-1][0], kept


def _width(columns: Sequence["_Column"], letter: float) -> float:
    """About how wide a table is, in points."""
    return sum(column.letters * letter + _SEPARATION for column in columns) - _SEPARATION


class _Column:
    """A column as LaTeX sets it; one with spreads is two, which meet at the ±."""

    def __init__(self, header: str, align: str, cells: Sequence[str]):
        self.name, self.header = header, _stacked(header)
        self.letters = max(map(len, (*_lines(header), *cells)))
        self.alignment = "l" if align == "<" else "r"
        self.cells = [escaped(cell) for cell in cells]
        if align == ">" and any(" ± " in cell for cell in cells):
            self.header = rf"\multicolumn{{2}}{{c}}{{{self.header}}}"
            self.alignment = r"r@{}l"
            self.cells = [self._halves(cell) for cell in cells]

    def _halves(self, cell: str) -> str:
        mean, plus_minus, spread = cell.partition(" ± ")
        if not plus_minus:
            mean, space, rest = mean.partition(" ")  # what follows a number that has no spread
            return f"{escaped(mean)} & {escaped(space + rest)}"
        return rf"{escaped(mean)} & ${{}}\pm{{}}${escaped(spread)}"


def _stacked(header: str) -> str:
    """A header in lines of a few words."""
    lines = _lines(header)
    return escaped(header) if len(lines) < 2 else rf"\shortstack{{{_NEW_LINE.join(map(escaped, lines))}}}"


def _lines(header: str) -> list[str]:
    return textwrap.wrap(header, _HEADER_LINE, break_long_words=False, break_on_hyphens=False)


def escaped(text: str) -> str:
    """Text that LaTeX sets as it stands; characters that pdflatex has no font for by their number."""
    return "".join(_character(character) for character in text)


def _character(character: str) -> str:
    if character in _ESCAPED:
        return _ESCAPED[character]
    if not character.isprintable():
        return " "
    if character.isascii() or (
        ord(character) <= _LAST_OF_LATIN and unicodedata.category(character)[0] == "L"
    ):
        return character
    return f"[U+{ord(character):04X}]"


def _caption(comparison: Comparison) -> str:
    counts = sorted({len(arm.figures()) for arm in comparison.arms})
    said = "At the end of training."
    if counts == [1]:
        said = "One seed, at the end of training."
    elif counts[-1] > 1:
        seeds = f"{counts[0]} seeds" if len(counts) == 1 else f"up to {counts[-1]} seeds"
        said = rf"Mean $\pm$ sample standard deviation over {seeds}, at the end of training."
    sources = "; ".join(f"[{k}] {source}" for k, source in enumerate(sources_of(comparison), start=1))
    published = f" Published: {escaped(sources)}." if sources else ""
    return f"{escaped(comparison.title.rstrip('.'))}. {said}{published}"
