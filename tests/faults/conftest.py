"""Prints the table of faults at the end of the suite."""

from tests.faults import tally


def pytest_terminal_summary(terminalreporter) -> None:
    if tally.kinds:
        terminalreporter.section("faults")
        for line in tally.table():
            terminalreporter.write_line(line)
