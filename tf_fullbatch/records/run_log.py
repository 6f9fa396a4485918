"""What a study adds to the log of a run: how its process ended, and how long it took."""

import re
from pathlib import Path

from tf_fullbatch.records.files import last_lines, os_errors_as_user_errors
from tf_fullbatch.records.run_folder import RunFolder


def note_duration(log: Path, code: int, seconds: float) -> None:
    """Adds a line to what a run printed: how its process ended, and how long it took."""
    with os_errors_as_user_errors(log), log.open("a", encoding="utf-8") as file:
        file.write(f"{RunFolder.STUDY_LINE}ended with exit code {code} after {seconds:.1f} s\n")


def seconds_in_log(log: Path) -> float | None:
    """What all processes of a run took; None where that was not written down."""
    ends = re.findall(
        rf"^{RunFolder.STUDY_LINE}ended .* after ([\d.]+) s$",
        "".join(last_lines(log, most_bytes=2**20)),
        re.MULTILINE,
    )
    return sum(map(float, ends)) if ends else None
