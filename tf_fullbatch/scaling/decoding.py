"""What it takes to decode images that stay in their files, as measured (docs/performance.md, "Images that stream")."""

SQUARE_SECONDS = 3.1e-3
"""Processor time of a JPEG of 500x375 to 224x224: its central square, resized (2026-11-29)."""
SHORTER_SIDE_SECONDS = 4.2e-3
"""The same by --shorter_side=256."""
RANDOM_CROP_SECONDS = 3.0e-3
"""The same by --random_resized_crop."""


def decoding_seconds(images: float, of_core: float, cores: float | None) -> float:
    """What a node takes to decode: `images * of_core / cores`.

    Args:
        images: That it decodes.
        of_core: Seconds of a core per image.
        cores: Of the node; None leaves decoding out.
    """
    return 0.0 if cores is None else images * of_core / cores
