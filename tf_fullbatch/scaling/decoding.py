"""What it takes to decode images that stay in their files, as measured (docs/performance.md, "Images that stream")."""

SQUARE_SECONDS = 3.4e-3
"""Processor time of a JPEG of 500x375 to 224x224: its central square, resized (2026-11-28)."""
SHORTER_SIDE_SECONDS = 4.4e-3
"""The same by --shorter_side=256."""
RANDOM_CROP_SECONDS = 3.6e-3
"""The same by --random_resized_crop."""
SERIAL_SECONDS = 0.65e-3
"""Of an image, what a process does for one after the other: Python, under its lock (2026-11-29)."""


def decoding_seconds(images: float, of_core: float, serial: float, cores: float | None) -> float:
    """What a node takes to decode: `images * max(of_core / cores, serial)`.

    Args:
        images: That it decodes.
        of_core: Seconds of a core per image.
        serial: Seconds per image that are spent one image at a time.
        cores: Of the node; None leaves decoding out.
    """
    return 0.0 if cores is None else images * max(of_core / cores, serial)
