"""This package's networks in PyTorch, from uint8 pixels `[batch, channels, height, width]` to logits."""

import torch
from torch import nn

BLOCKS = {
    "resnet18": ((2, 2, 2, 2), 64),
    "resnet8": ((1, 1, 1), 16),
    "resnet_tiny": ((1, 1), 8),
}
"""Residual blocks of each stage, and channels of the first; see `tf_fullbatch/models/resnet.py`."""
HIDDEN_UNITS = 32


def network(model: str, image_size: int, channels: int, num_classes: int) -> nn.Module:
    """A network by name, with the stem for small images."""
    if model == "mlp":
        inputs = channels * image_size**2
        layers = [
            nn.Flatten(),
            nn.Linear(inputs, HIDDEN_UNITS),
            nn.ReLU(),
            nn.Linear(HIDDEN_UNITS, num_classes),
        ]
        return nn.Sequential(Normalise(), *layers)
    blocks, width = BLOCKS[model]
    stages: list[nn.Module] = [Normalise(), conv_norm(channels, width, 3, 1), nn.ReLU(inplace=True)]
    last = width
    for stage, count in enumerate(blocks):
        for block in range(count):
            filters, stride = width * 2**stage, 2 if stage and not block else 1
            stages.append(Block(last, filters, stride))
            last = filters
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, num_classes)]
    return nn.Sequential(*stages, *head)


def conv_norm(channels: int, filters: int, kernel: int, stride: int) -> nn.Sequential:
    """Convolution without bias, then BatchNorm."""
    convolution = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(filters))


class Normalise(nn.Module):
    """`(pixel / 255 - 0.5) / 0.29` in float32."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float() * (1 / (255 * 0.29)) - 0.5 / 0.29


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: 2x2 averages, 1x1 convolution and BatchNorm where the shape changes."""

    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        self.first = conv_norm(channels, filters, 3, stride)
        self.second = conv_norm(filters, filters, 3, 1)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != filters:
            self.shortcut = nn.Sequential(nn.AvgPool2d(stride), conv_norm(channels, filters, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.second(self.relu(self.first(x))) + self.shortcut(x))
