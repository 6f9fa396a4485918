"""Makes pytorch.json: where PyTorch's optimizers go on a small network, and where its L-BFGS ends.

    pip install torch==2.14.1; python tests/optim/pytorch_values.py

PyTorch is no dependency of this project, so its answers are kept. All is in float64, with cross-entropy averaged over
all samples. Decays are sums of few powers of two, since Keras keeps others, and their powers, in float32; epsilon is 0,
which PyTorch adds elsewhere than Keras does.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES, FEATURES, UNITS, CLASSES, STEPS = 20, 3, 4, 3, 6
SHAPES = ((FEATURES, UNITS), (UNITS,), (UNITS, CLASSES), (CLASSES,))
"""Keras' kernel and bias of a dense layer, tanh, and of another."""
DECAY = 2.0**-6
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.25}),
    "heavy ball": ("SGD", {"lr": 0.25, "momentum": 0.9, "weight_decay": DECAY}),
    "nesterov": ("SGD", {"lr": 0.25, "momentum": 0.9, "nesterov": True, "weight_decay": DECAY}),
    "adam": ("Adam", {"lr": 0.0625, "betas": (0.75, 0.9375), "eps": 0.0}),
    "adamw": ("AdamW", {"lr": 0.0625, "betas": (0.75, 0.9375), "eps": 0.0, "weight_decay": DECAY}),
    "rmsprop": ("RMSprop", {"lr": 0.03125, "alpha": 0.9375, "eps": 0.0}),
    "rmsprop, momentum": ("RMSprop", {"lr": 0.03125, "alpha": 0.9375, "eps": 0.0, "momentum": 0.5}),
}
"""Name -> class in torch.optim and its arguments."""
FILE = Path(__file__).with_name("pytorch.json")


def numbers(shape: tuple[int, ...], seed: float, scale: float = 1.0) -> np.ndarray:
    """The same numbers anywhere, without a generator of random ones."""
    return scale * np.sin(np.arange(np.prod(shape)) * 1.7 + seed).reshape(shape)


def samples() -> tuple[np.ndarray, np.ndarray]:
    """Inputs `[SAMPLES, FEATURES]` and classes `[SAMPLES]`."""
    return numbers((SAMPLES, FEATURES), 0.3), np.arange(SAMPLES) * 7 % 5 % CLASSES


def weights() -> list[np.ndarray]:
    """The network's, in `SHAPES`."""
    return [numbers(shape, i, 0.4) for i, shape in enumerate(SHAPES)]


def main() -> None:
    """Writes the file."""
    import torch

    inputs, classes = map(torch.from_numpy, samples())

    def loss(parameters):
        kernel, bias, head, head_bias = parameters
        logits = torch.tanh(inputs @ kernel + bias) @ head + head_bias
        return torch.nn.functional.cross_entropy(logits, classes)

    def flat(parameters):
        return torch.cat([p.detach().reshape(-1) for p in parameters]).tolist()

    def steps(kind, arguments):
        parameters = [torch.from_numpy(w).requires_grad_() for w in weights()]
        optimizer = getattr(torch.optim, kind)(parameters, **arguments)
        found = []
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss(parameters).backward()
            optimizer.step()
            found.append(flat(parameters))
        return found

    def lbfgs():
        """The decayed logistic regression of the inputs, from zeros."""
        kernel, bias = (torch.zeros(s, dtype=torch.float64) for s in ((FEATURES, CLASSES), (CLASSES,)))
        parameters = [kernel.requires_grad_(), bias.requires_grad_()]
        search = {"line_search_fn": "strong_wolfe", "tolerance_grad": 1e-13, "tolerance_change": 0.0}
        optimizer = torch.optim.LBFGS(parameters, max_iter=200, max_eval=1000, **search)

        def closure():
            optimizer.zero_grad()
            decayed = torch.nn.functional.cross_entropy(inputs @ kernel + bias, classes)
            decayed = decayed + DECAY / 2 * sum((p * p).sum() for p in parameters)
            decayed.backward()
            return decayed

        optimizer.step(closure)
        return {"loss": closure().item(), "weights": flat(parameters)}

    found = {"steps": {name: steps(*case) for name, case in CASES.items()}, "lbfgs": lbfgs()}
    FILE.write_text(json.dumps({"version": torch.__version__.partition("+")[0]} | found) + "\n")


if __name__ == "__main__":
    main()
