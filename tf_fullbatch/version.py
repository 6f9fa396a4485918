"""The version of this package, for its metadata (pyproject.toml), records and commands."""

__version__ = "0.2.0"
