"""What is compared with what, and the ratio that is wanted; imports no TensorFlow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """Passes over random images: of which network, and how they are cut into steps."""

    model: str
    """A network's name."""
    image_size: int = 32
    """Side in pixels."""
    channels: int = 3
    num_classes: int = 10
    samples: int
    """Samples of a pass."""
    micro_batch_size: int
    batch_size: int | None = None
    """Samples of a step, shuffled each pass; None for one step per pass, over all samples in their order."""
    dtype_policy: str = "float32"

    @property
    def steps(self) -> int:
        """Steps of a pass."""
        return -(-self.samples // (self.batch_size or self.samples))

    def __str__(self) -> str:
        size = f"{self.image_size}x{self.image_size}"
        step = "full batch" if self.batch_size is None else f"steps of {self.batch_size}"
        return (
            f"{self.model}, {self.samples} images of {size}, {step}, micro-batches of {self.micro_batch_size}, "
            f"{self.dtype_policy}"
        )


AUGMENTED = {
    "crop_flip": "crop4,flip",
    "alternating_flip": "alternating_flip",
    "translate": "translate2",
    "cutout": "cutout8",
    "jitter": "jitter(hue=0.1)",
    "randaugment": "randaugment(n=2,m=9)",
    "autoaugment": "autoaugment",
    "trivialaugment": "trivialaugment",
    "augmix": "augmix",
    "mixup": "mixup",
    "cutmix": "cutmix",
    "several": "crop4,flip,randaugment(n=2,m=9),cutout8,mixup0.2",
}
"""Row -> augmentation that is timed."""

MOST_OF_AUGMENTATION = 1.10
"""The largest ratio of a step with an augmentation to one without that is wanted (ResNet-18)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """This package beside another loop over the same work."""

    work: Workload
    reference: str
    """What it is compared with, a key of `small_suite.REFERENCES`, or "PyTorch"."""
    wanted: float
    """The largest ratio of our seconds to the reference's that is wanted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductComparison:
    """A product of the whole set's curvature with a vector, beside the set's gradient, over the same micro-batches."""

    work: Workload
    curvature: str = "hessian"
    """A key of `core.curvature.CURVATURES`."""
    statistics: str = "batch"
    """What batch normalisation normalises by, see `core.objective.Objective`."""
    directions: int = 1
    """Vectors whose products are asked for at once; the time of one is their share of it."""
    wanted: float | None = None
    """The largest ratio of a product's seconds to a gradient's that is wanted; None where none is set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodWork:
    """What methods of descent are timed on."""

    work: Workload
    wanted: float
    """The largest share of a step beyond its gradient evaluations that is wanted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spending:
    """What a measure spends along full-batch training of a smooth `mlp` on some of the digits."""

    measure: str
    """A key of `analysis.measures.registry.MEASURES`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """"measure.option" -> value; others have their defaults."""
    every: int
    """Steps between measurements."""
    steps: int
    samples: int = 500
    learning_rate: float = 0.2
    wanted: float
    """The most gradient evaluations per sample that a measurement, but for the first, shall take."""


_MLP = Workload(model="mlp", image_size=8, channels=1, samples=8192, micro_batch_size=32)
_MLP_SGD = Workload(model="mlp", image_size=8, channels=1, samples=8192, micro_batch_size=32, batch_size=32)
_TINY = Workload(model="resnet_tiny", image_size=8, channels=1, samples=4096, micro_batch_size=128)
_RESNET8 = Workload(model="resnet8", samples=1024, micro_batch_size=32)
_RESNET8_SGD = Workload(model="resnet8", samples=1024, micro_batch_size=32, batch_size=32)
_RESNET18 = Workload(model="resnet18", samples=512, micro_batch_size=128)
_RESNET18_BFLOAT16 = Workload(
    model="resnet18", samples=512, micro_batch_size=128, dtype_policy="mixed_bfloat16"
)

SMALL: dict[str, Comparison] = {
    "mlp_pass": Comparison(work=_MLP, reference="compiled loop", wanted=1.5),
    "resnet_tiny_pass": Comparison(work=_TINY, reference="compiled loop", wanted=1.10),
    "resnet8_pass": Comparison(work=_RESNET8, reference="compiled loop", wanted=1.03),
    "mlp_sgd": Comparison(work=_MLP_SGD, reference="Keras fit", wanted=0.12),
    "resnet8_sgd": Comparison(work=_RESNET8_SGD, reference="Keras fit", wanted=0.85),
    "resnet18_pass": Comparison(work=_RESNET18, reference="bare loop", wanted=1.02),
}
"""Rows of --suite=small: name -> comparison within one process."""

PYTORCH: dict[str, Comparison] = {
    "mlp_sgd": Comparison(work=_MLP_SGD, reference="PyTorch", wanted=0.3),
    "resnet8_sgd": Comparison(work=_RESNET8_SGD, reference="PyTorch", wanted=0.9),
    "resnet18_float32": Comparison(work=_RESNET18, reference="PyTorch", wanted=0.85),
    "resnet18_bfloat16": Comparison(work=_RESNET18_BFLOAT16, reference="PyTorch", wanted=1.0),
}
"""Rows of --suite=pytorch: name -> comparison of processes in turn."""

_PRODUCTS8 = Workload(model="resnet8", samples=256, micro_batch_size=32)
_PRODUCTS18 = Workload(model="resnet18", samples=128, micro_batch_size=64)
PRODUCTS: dict[str, ProductComparison] = {
    "mlp_hessian": ProductComparison(work=_MLP, wanted=2.2),
    "mlp_ggn": ProductComparison(work=_MLP, curvature="ggn"),
    "mlp_four_at_once": ProductComparison(work=_MLP, directions=4),
    "resnet8_hessian": ProductComparison(work=_PRODUCTS8),
    "resnet8_ggn": ProductComparison(work=_PRODUCTS8, curvature="ggn"),
    "resnet8_frozen": ProductComparison(work=_PRODUCTS8, statistics="frozen"),
    "resnet8_four_at_once": ProductComparison(work=_PRODUCTS8, directions=4),
    "resnet18_hessian": ProductComparison(work=_PRODUCTS18, wanted=3.0),
    "resnet18_ggn": ProductComparison(work=_PRODUCTS18, curvature="ggn"),
}
"""Rows of --suite=curvature that are timed: name -> comparison."""

_TOP = {"sharpness.k": 1, "sharpness.grow": False}
SPENDING: dict[str, Spending] = {
    # 25 products of two gradients each, and the gradient that is looked at along the eigenvector.
    "sharpness_every_step": Spending(measure="sharpness", options=_TOP, every=1, steps=150, wanted=51),
    "sharpness_every_10": Spending(measure="sharpness", options=_TOP, every=10, steps=400, wanted=51),
    "density": Spending(measure="density", every=1, steps=1, wanted=320),
    "trace": Spending(measure="trace", every=1, steps=1, wanted=60),
}
"""Rows of --suite=curvature that are counted: name -> what is measured along training."""

CURVATURE: tuple[str, ...] = (*PRODUCTS, *SPENDING, "memory")
"""Rows of --suite=curvature."""

METHOD_WORKS: dict[str, MethodWork] = {
    "mlp": MethodWork(work=Workload(model="mlp", samples=4096, micro_batch_size=512), wanted=0.20),
    "resnet18": MethodWork(work=_RESNET18, wanted=0.05),
}
"""What --suite=optimizers trains on."""

_PLAIN = {"momentum": 0.0, "nesterov": False}
METHODS: dict[str, dict[str, Any]] = {
    "descent": _PLAIN,
    "nesterov": {},
    "sam": {**_PLAIN, "perturbation": "sam"},
    "armijo": {**_PLAIN, "line_search": "armijo"},
    **{
        name: {"optimizer": name}
        for name in (
            "adamw", "sign", "normalized", "lars", "larc", "lamb", "adai", "adaiw", "pnm", "adapnm", "muon", "fista",
            "lbfgs", "nonlinear_cg", "newton_cg",
        )
    },
}  # fmt: skip
"""Rows of --suite=optimizers: name -> settings of a step and its method."""
