"""Layers by their definitions, in NumPy and float64: what the networks are compared with."""

import numpy as np
from scipy.special import erf


def dense(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """`x W + b` of the last axis."""
    return x @ kernel + bias


def layer_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float = 1e-6) -> np.ndarray:
    """Ba et al. 2016, equation 4, over the last axis."""
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def batch_norm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """Ioffe & Szegedy 2015, algorithm 1, by the statistics that are kept."""
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def gelu(x: np.ndarray) -> np.ndarray:
    """`x Phi(x)`, Hendrycks & Gimpel 2016, with the root of 1/2 as TensorFlow 2.21 has it: rounded to float32."""
    return x * (1 + erf(x * np.float64(np.float32(np.sqrt(0.5))))) / 2


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def convolution(x: np.ndarray, kernel: np.ndarray, stride: int = 1, padding: int = 0) -> np.ndarray:
    """The sum over a window of `x[..., rows, columns, channels]` times a kernel `[side, side, channels, filters]`."""
    side = kernel.shape[0]
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, columns = ((n - side) // stride + 1 for n in padded.shape[1:3])
    result = np.zeros((len(x), rows, columns, kernel.shape[3]))
    for i in range(rows):
        for j in range(columns):
            window = padded[:, i * stride : i * stride + side, j * stride : j * stride + side]
            result[:, i, j] = np.einsum("bhwc,hwcf->bf", window, kernel)
    return result


def pooled(x: np.ndarray, reduce: np.ufunc) -> np.ndarray:
    """`reduce` over squares of 2x2 pixels; a last odd row or column is left out."""
    rows, columns = (n // 2 for n in x.shape[1:3])
    squares = x[:, : 2 * rows, : 2 * columns].reshape(len(x), rows, 2, columns, 2, -1)
    return reduce(squares, axis=(2, 4))
