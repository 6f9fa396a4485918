"""The parts of the benchmark command."""
