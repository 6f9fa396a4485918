"""Times every configuration in rounds, so that a machine whose speed drifts slows all of them alike."""

import time
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tf_fullbatch.benchmark import device, timed_passes
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.ratios import BARE_LOOP, Configuration
from tf_fullbatch.benchmark.timed_passes import Contestant, Data
from tf_fullbatch.errors import DeviceMemoryError
from tf_fullbatch.run.devices import precision

Progress = Callable[[str], None]


class Timing(NamedTuple):
    """One pass of one configuration.

    Attributes:
        seconds: Wall clock.
        cpu_seconds: Processor time of all threads of this process, setting up the pass included.
        peak: See `device.peaks`.
    """

    seconds: float
    cpu_seconds: float
    peak: device.Peaks


class Speed(NamedTuple):
    """What `measure_speed` found.

    Attributes:
        timings: One a round, for each configuration.
        gradient_flops: See `timed_passes.gradient_flops`.
    """

    timings: dict[Configuration, list[Timing]]
    gradient_flops: float | None


def measure_speed(options: Options, progress: Progress) -> Speed:
    """Times a step over random images for every precision and penalty, and the bare loops.

    Each configuration is warmed up on a few micro-batches of the shapes that come. Every round times each of
    them once, odd rounds in reverse order.
    """
    entries: dict[Configuration, Contestant] = {}
    flops = None
    for policy in options.dtype_policies:
        with precision(policy):
            net = timed_passes.network(options.model, options.image_size, options.num_classes)
            flops = timed_passes.gradient_flops(net)
            for jit in jit_settings(options):
                entries[Configuration(policy, jit, BARE_LOOP)] = timed_passes.bare_loop(
                    net, options.micro_batch_size, jit
                )
                for penalty in options.penalties:
                    entries[Configuration(policy, jit, penalty)] = timed_passes.full_batch_step(
                        net, penalty, options.micro_batch_size, jit
                    )
    data = timed_passes.random_data(options.samples, options.image_size, options.num_classes)
    timings: dict[Configuration, list[Timing]] = {configuration: [] for configuration in entries}
    for configuration, contestant in entries.items():
        timing = _timed(configuration, contestant, _warm_up(data, options.micro_batch_size))
        progress(f"warm-up: {name(configuration)}: {timing.seconds:.1f} s")
    for round_ in range(options.repeats):
        for configuration in list(entries)[:: -1 if round_ % 2 else 1]:
            timing = _timed(configuration, entries[configuration], data)
            timings[configuration].append(timing)
            progress(
                f"round {round_ + 1} of {options.repeats}: {name(configuration)}: {timing.seconds:.3f} s"
            )
    return Speed(timings, flops)


def jit_settings(options: Options) -> list[bool]:
    """The settings of --jit_compile, with auto resolved, each once."""
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    return list(dict.fromkeys(on_gpu if jit == "auto" else jit == "on" for jit in options.jit_compile))


def name(configuration: Configuration) -> str:
    """A configuration in words."""
    compiled = ", XLA" if configuration.jit_compile else ""
    return f"{configuration.dtype_policy}{compiled}, {configuration.contestant}"


def _timed(configuration: Configuration, contestant: Contestant, data: Data) -> Timing:
    with precision(configuration.dtype_policy):
        device.reset_peaks()
        cpu = time.process_time()
        try:
            seconds = contestant(data)
        except tf.errors.ResourceExhaustedError as error:
            raise DeviceMemoryError(
                f"The device ran out of memory with {name(configuration)}: lower --micro_batch_size."
            ) from error
        return Timing(seconds, time.process_time() - cpu, device.peaks())


def _warm_up(data: Data, micro_batch_size: int) -> Data:
    """Two full micro-batches, where there are as many, and the ragged last one."""
    samples = len(data.images)
    whole = min(samples // micro_batch_size, 2) * micro_batch_size
    few = whole + samples % micro_batch_size
    return Data(*(a[:few] for a in data))
