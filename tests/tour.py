"""docs/tour.ipynb, run from its first cell to its last. `python -m tests.tour` writes its outputs anew."""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "tour.ipynb"
UPDATE = "python -m tests.tour"


def executed(appended: str = "") -> nbformat.NotebookNode:
    """The notebook with the outputs of a fresh run in an empty folder, without what goes to standard error.

    Args:
        appended: Code of a further cell.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    if appended:
        notebook.cells.append(nbformat.v4.new_code_cell(appended))
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": folder}},
            record_timing=False, coalesce_streams=True,
        )  # fmt: skip
        client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":  # TensorFlow says there what it says whenever it is imported
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


if __name__ == "__main__":
    nbformat.write(executed(), NOTEBOOK)
