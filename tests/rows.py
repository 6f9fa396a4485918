"""Tables of records as tests write them down and compare them: a list of rows."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tf_fullbatch.records.columns import Column
from tf_fullbatch.records.tables import read_table


def read_rows(path: str | Path, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """The rows of a table, without what is blank."""
    rows = read_table(path, columns).to_dict("records")
    return [{str(k): v for k, v in row.items() if not (pd.isna(v) or v == "")} for row in rows]


def table_of(rows: Iterable[dict[str, Any]], columns: Sequence[Column]) -> pd.DataFrame:
    """Rows as `read_table` gives them."""
    kinds = {c.name: {int: "Int64", float: "float64", str: "str"}[c.kind] for c in columns}
    return pd.DataFrame(list(rows), columns=list(kinds)).astype(kinds)
