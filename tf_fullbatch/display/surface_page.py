"""A surface of losses as a page to turn about in a browser: one HTML file that needs no network, by plotly."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_fullbatch.analysis.surfaces import Surface
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.files import write_text

if TYPE_CHECKING:  # their file imports TensorFlow
    from tf_fullbatch.analysis.paths import PathLosses, Plane

_LOG_ABOVE_DECADES = 1.0


def write_surface_page(
    surface: Surface,
    path: str | Path,
    title: str = "",
    *,
    plane: "Plane | None" = None,
    losses: "PathLosses | None" = None,
    along: Sequence[str] = ("First direction", "Second direction"),
) -> None:
    """Writes the page; the loss is logarithmic where it spans more than a power of ten.

    Args:
        surface: Of two axes.
        path: The HTML file, replaced whole; about 5 MB.
        title: Shown above.
        plane: Whose path is drawn, at its own losses, not at the surface's; None for none.
        losses: Of that path.
        along: What the axes are.

    Raises:
        UserError: plotly is not installed, the surface has not two axes, there is a path without losses, or the file
            cannot be written.
    """
    if len(surface.coordinates) != 2:
        raise UserError(f"a page takes a surface of 2 axes, but it has {len(surface.coordinates)}.")
    if (plane is None) != (losses is None):
        raise UserError("a path takes its plane and its losses: give both, or neither.")
    with _telling_what_to_install():
        from plotly import graph_objects
    finite = surface.loss[np.isfinite(surface.loss)]
    logarithmic = bool(finite.size) and 0 < finite.min() < finite.max() * 10**-_LOG_ABOVE_DECADES
    label = f"Loss ({surface.statistics} statistics)"
    traces = [graph_objects.Surface(**_surface_trace(surface, label, logarithmic))]
    if plane is not None and losses is not None:
        along = [
            f"Principal direction {i + 1} ({share:.1%})" for i, share in enumerate(plane.explained_variance)
        ]
        traces.append(graph_objects.Scatter3d(**_path_trace(plane, losses)))
    figure = graph_objects.Figure(traces)
    height = {"type": "log", "dtick": "D2"} if logarithmic else {"type": "linear"}
    scene = {
        "xaxis": {"title": along[0]},
        "yaxis": {"title": along[1]},
        "zaxis": {"title": label, **height},
        "aspectmode": "cube",
        "camera": {"eye": {"x": 1.1, "y": 1.1, "z": 1.5}},  # high enough to look into a valley
    }
    figure.update_layout(title=title, scene=scene, showlegend=False, margin={"l": 0, "r": 0, "b": 0, "t": 50})
    write_text(path, figure.to_html(include_plotlyjs=True, full_html=True, default_height="95vh"))


def _surface_trace(surface: Surface, label: str, logarithmic: bool) -> dict[str, Any]:
    a, b = surface.coordinates
    # Lists, not arrays: plotly would pack those as binary, which no reader of the page can check.
    loss = [[float(v) if np.isfinite(v) else None for v in row] for row in surface.loss.T]
    with np.errstate(divide="ignore", invalid="ignore"):
        colour = np.log10(surface.loss.T) if logarithmic else surface.loss.T
    return {
        "x": a.tolist(),
        "y": b.tolist(),
        "z": loss,
        "surfacecolor": [[float(v) if np.isfinite(v) else None for v in row] for row in colour],
        "colorscale": "Viridis",
        "showscale": False,
        "hovertemplate": f"%{{x:.3g}}, %{{y:.3g}}<br>{label}: %{{z:.4g}}<extra></extra>",
        "contours": {"z": {"show": True, "color": "#555555", "project": {"z": True}}},
    }


def _path_trace(plane: "Plane", losses: "PathLosses") -> dict[str, Any]:
    return {
        "x": plane.coordinates[:, 0].tolist(),
        "y": plane.coordinates[:, 1].tolist(),
        "z": losses.path.tolist(),
        "mode": "lines+markers",
        "line": {"color": "#D55E00", "width": 5},
        "marker": {"color": "#D55E00", "size": 3},
        "text": [f"checkpoint {i}" for i in range(len(losses.path))],
        "hovertemplate": "%{text}<br>its loss: %{z:.4g}<extra></extra>",
    }


@contextlib.contextmanager
def _telling_what_to_install() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UserError("a page of a surface needs plotly: pip install 'tf-fullbatch[plotly]'.") from error
