"""Sizes of data sets as they were published, for plans where the data are not at hand."""

from typing import NamedTuple


class SetSizes(NamedTuple):
    """How large a set of images is.

    Attributes:
        train: Training samples.
        test: Samples of the split that serves as test; 0 where none does.
        test_split: Its name; None where there is none.
        shape: Height, width, channels; height and width None where images vary in size.
        classes: Classes.
        validation: Samples to validate on of its own.
    """

    train: int
    test: int
    test_split: str | None
    shape: tuple[int | None, int | None, int]
    classes: int
    validation: int = 0


_IMAGENET = (1_281_167, 50_000, "validation")

KNOWN_SIZES: dict[str, SetSizes] = {
    "cifar10": SetSizes(50_000, 10_000, "test", (32, 32, 3), 10),
    "cifar100": SetSizes(50_000, 10_000, "test", (32, 32, 3), 100),
    "mnist": SetSizes(60_000, 10_000, "test", (28, 28, 1), 10),
    "fashion_mnist": SetSizes(60_000, 10_000, "test", (28, 28, 1), 10),
    "svhn_cropped": SetSizes(73_257, 26_032, "test", (32, 32, 3), 10),
    "imagenet2012": SetSizes(*_IMAGENET, (None, None, 3), 1000),
    **{
        f"imagenet_resized/{side}x{side}": SetSizes(*_IMAGENET, (side, side, 3), 1000)
        for side in (8, 16, 32, 64)
    },
}
"""TFDS' name -> sizes, of the publications: Krizhevsky 2009; LeCun et al. 1998; Xiao et al. 2017; Netzer et al. 2011;
Russakovsky et al. 2015; Chrabaszcz et al. 2017."""

KNOWN_FOLDERS: dict[str, SetSizes] = {
    "imagenet": SetSizes(1_281_167, 0, None, (None, None, 3), 1000, validation=50_000),
    "tiny-imagenet-200": SetSizes(100_000, 10_000, "val", (64, 64, 3), 200),
}
"""Name of a folder, as recipes have it -> sizes: Russakovsky et al. 2015, in class folders `train` and `val`; Le and
Yang 2015, as it is shipped."""
