"""Makes curvlinops.json: what curvlinops (Dangel et al. 2025, arXiv 2501.19183) says of a small convolutional network.

    pip install torch==2.14.1 curvlinops-for-pytorch==3.0.1; python tests/analysis/curvlinops_values.py

PyTorch is no dependency of this project, so its answers are kept. All is in float64, with cross-entropy averaged over
all samples, which come in batches of unlike sizes.
"""

import json
from pathlib import Path

import numpy as np

SAMPLES, BATCH, CLASSES = 20, 7, 4
SHAPES = ((3, 3, 2, 3), (3,), (48, 4), (4,))
"""Keras': kernel and bias of a convolution (no padding), tanh, kernel and bias of a dense layer."""
FILE = Path(__file__).with_name("curvlinops.json")


def numbers(shape: tuple[int, ...], seed: float, scale: float = 1.0) -> np.ndarray:
    """The same numbers anywhere, without a generator of random ones."""
    return scale * np.sin(np.arange(np.prod(shape)) * 1.7 + seed).reshape(shape)


def samples() -> tuple[np.ndarray, np.ndarray]:
    """Images [SAMPLES, 6, 6, 2] and classes [SAMPLES]."""
    return numbers((SAMPLES, 6, 6, 2), 0.3), np.arange(SAMPLES) * 7 % 5 % CLASSES


def weights() -> list[np.ndarray]:
    """The network's, in `SHAPES`."""
    return [numbers(shape, i, 0.4) for i, shape in enumerate(SHAPES)]


def direction() -> list[np.ndarray]:
    """What products are of, in `SHAPES`."""
    return [numbers(shape, 10 + i) for i, shape in enumerate(SHAPES)]


def main() -> None:
    """Writes the file."""
    import curvlinops
    import torch

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv2d(2, 3, 3)
            self.dense = torch.nn.Linear(48, CLASSES)

        def forward(self, x):
            return self.dense(torch.tanh(self.convolution(x)).permute(0, 2, 3, 1).flatten(1))

    def to_torch(tree):
        kernel, bias, dense, dense_bias = map(torch.from_numpy, tree)
        return [kernel.permute(3, 2, 0, 1), bias, dense.T, dense_bias]

    def from_torch(tree):
        kernel, bias, dense, dense_bias = tree
        return [kernel.permute(2, 3, 1, 0), bias, dense.T, dense_bias]

    def flat(tree):
        return torch.cat([leaf.reshape(-1) for leaf in tree])

    torch.set_default_dtype(torch.float64)
    network = Network()
    parameters = list(network.parameters())
    with torch.no_grad():
        for parameter, value in zip(parameters, to_torch(weights()), strict=True):
            parameter.copy_(value)
    images, classes = samples()
    inputs, targets = torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(classes)
    batches = list(zip(inputs.split(BATCH), targets.split(BATCH), strict=True))
    found = {}
    for name, kind in (("hessian", curvlinops.HessianLinearOperator), ("ggn", curvlinops.GGNLinearOperator)):
        operator = kind(network, torch.nn.CrossEntropyLoss(), parameters, batches)
        product = operator @ [leaf.contiguous() for leaf in to_torch(direction())]
        dense = operator @ torch.eye(operator.shape[1])
        found[name] = {
            "product": flat(from_torch(product)).tolist(),
            "eigenvalues": torch.linalg.eigvalsh((dense + dense.T) / 2).tolist(),
        }
    found["versions"] = {"torch": torch.__version__, "curvlinops": "3.0.1"}
    FILE.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
