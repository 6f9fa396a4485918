"""What is compared with what, and the ratio that is wanted; imports no TensorFlow."""

from dataclasses import dataclass


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """This package beside another loop over the same work."""

    work: Workload
    reference: str
    """What it is compared with, a key of `small_suite.REFERENCES`, or "PyTorch"."""
    wanted: float
    """The largest ratio of our seconds to the reference's that is wanted."""


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
