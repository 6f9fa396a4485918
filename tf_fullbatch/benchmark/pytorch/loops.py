"""Passes over random images in plain PyTorch, timed: `python loops.py --model=resnet8 --batch_size=32 ...`.

Prints one line of JSON: `seconds` per pass, trainable `parameters`, and what was chosen. Needs requirements.txt
beside it, and nothing of tf_fullbatch; `python -m tf_fullbatch.benchmark --suite=pytorch` calls it.
"""

import argparse
import contextlib
import json
import os
import time
from collections.abc import Callable

import torch
from networks import network  # beside this script
from torch import nn

LEARNING_RATE = 1e-3
MOMENTUM = 0.9
MOST_PASSES = 100


def main() -> None:
    """Times what the arguments ask for."""
    options = parse()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(cores)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = (
        options.dtype_policy != "float32"
    )
    torch.manual_seed(0)
    formats = [False] if options.model == "mlp" else [False, True]
    channels_last = min(formats, key=lambda last: trial(options, last)) if len(formats) > 1 else False
    run, parameters = timed_pass(options, channels_last)
    run(1)
    passes = max(1, min(round(options.seconds / run(1)), MOST_PASSES)) if options.seconds else 1
    timings = [run(passes) / passes for _ in range(options.repeats)]
    found = {
        **{name: getattr(options, name) for name in ("samples", "micro_batch_size", "dtype_policy")},
        "seconds": sorted(timings)[len(timings) // 2],
        "rounds": timings,
        "parameters": parameters,
        "channels_last": channels_last,
        "compiled": options.compile,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
    }
    print(json.dumps(found))


def parse() -> argparse.Namespace:
    """The arguments: `comparisons.Workload`'s fields, and how to run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mlp", choices=("mlp", "resnet_tiny", "resnet8", "resnet18"))
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--num_classes", type=int, default=10)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--micro_batch_size", type=int, default=32)
    parser.add_argument(
        "--batch_size", type=int, default=0, help="samples per step; 0: all, in micro-batches"
    )
    parser.add_argument("--dtype_policy", default="float32", choices=("float32", "tf32", "mixed_bfloat16"))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--compile", type=int, default=0, choices=(0, 1), help="1: torch.compile the network")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="about how long a timing takes; 0: one pass"
    )
    parser.add_argument("--repeats", type=int, default=1, help="timings, of which the median is given")
    return parser.parse_args()


def trial(options: argparse.Namespace, channels_last: bool) -> float:
    """Seconds of one micro-batch in a memory format, after one to warm up."""
    samples = min(options.samples, 4 * options.micro_batch_size)
    short = argparse.Namespace(**{**vars(options), "samples": samples, "compile": False})
    run, _ = timed_pass(short, channels_last)
    run(1)
    return run(1)


def timed_pass(options: argparse.Namespace, channels_last: bool) -> tuple[Callable[[int], float], int]:
    """A function that makes so many passes and returns their seconds, and the network's parameters."""
    net = network(options.model, options.image_size, options.channels, options.num_classes).to(options.device)
    parameters = sum(p.numel() for p in net.parameters() if p.requires_grad)
    shape = (options.samples, options.channels, options.image_size, options.image_size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=options.device)
    labels = torch.randint(0, options.num_classes, (options.samples,), device=options.device)
    if channels_last:
        net, images = (thing.to(memory_format=torch.channels_last) for thing in (net, images))
    descent = torch.optim.SGD(net.parameters(), LEARNING_RATE, MOMENTUM, nesterov=True)
    net.train()
    if options.compile:
        net = torch.compile(net)
    one_pass = sgd_pass if options.batch_size else full_batch_step

    def run(passes: int) -> float:
        synchronise(options.device)
        started = time.perf_counter()
        for _ in range(passes):
            one_pass(net, descent, images, labels, options)
        synchronise(options.device)
        return time.perf_counter() - started

    return run, parameters


def sgd_pass(
    net: nn.Module,
    descent: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    options: argparse.Namespace,
) -> float:
    """Steps over shuffled batches; the mean loss."""
    total = torch.zeros((), device=images.device)
    for rows in torch.randperm(len(images), device=images.device).split(options.batch_size):
        descent.zero_grad()
        loss = mean_loss(net, images[rows], labels[rows], options)
        loss.backward()
        descent.step()
        total += loss.detach() * len(rows)
    return float(total) / len(images)


def full_batch_step(
    net: nn.Module,
    descent: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    options: argparse.Namespace,
) -> float:
    """One step by the gradient of all samples, summed over micro-batches; the mean loss."""
    descent.zero_grad()
    total = torch.zeros((), device=images.device)
    size = options.micro_batch_size
    for batch, targets in zip(images.split(size), labels.split(size), strict=True):
        loss = mean_loss(net, batch, targets, options) * (len(batch) / len(images))
        loss.backward()
        total += loss.detach()
    descent.step()
    return float(total)


def mean_loss(
    net: nn.Module, images: torch.Tensor, labels: torch.Tensor, options: argparse.Namespace
) -> torch.Tensor:
    """Mean cross-entropy, under autocast for mixed_bfloat16."""
    half = options.dtype_policy == "mixed_bfloat16"
    with torch.autocast(options.device, torch.bfloat16) if half else contextlib.nullcontext():
        logits = net(images)
    return nn.functional.cross_entropy(logits.float(), labels)


def synchronise(device: str) -> None:
    """Waits for what runs on the device."""
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
