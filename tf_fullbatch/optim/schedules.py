"""Learning rates as functions of the epoch, in plain Python; `optim/keras_schedule.py` has them for Keras."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from tf_fullbatch.config.run import Config
from tf_fullbatch.errors import UserError

BATCH_SIZE_SCALINGS = ("none", "linear")


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochRates:
    """One learning rate per epoch: a warmup followed by a decay.

    The rate of epoch t = 0, 1, ... is `peak * f(t)`, with f one of `SCHEDULES`. Past its end no schedule
    rises again or turns negative.

    Attributes:
        name: A key of `SCHEDULES`.
        peak: The rate at the end of the warmup, positive.
        warmup_epochs: Length W of the warmup, in epochs; 0 for none.
        horizon_epochs: Length of the schedule, in epochs, at least W. "published" counts its cosine's length
            from the end of the warmup; the others end at this epoch, warmup included.
        decay_epochs: "steps" only: the epochs, ascending and inside the horizon, from which one more
            `decay_factor` applies.
        decay_factor: "steps" only: what the rate is multiplied by, in (0, 1].

    Raises:
        ValueError: If a value is out of its range or does not go with the others.
    """

    name: str
    peak: float
    warmup_epochs: float
    horizon_epochs: float
    decay_epochs: tuple[float, ...] = ()
    decay_factor: float = 0.1

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise ValueError(f"schedule is {self.name!r}; accepted are {', '.join(map(repr, SCHEDULES))}.")
        if not 0 < self.peak < math.inf:
            raise ValueError(f"peak learning rate is {self.peak}; it must be positive and finite.")
        if not 0 < self.horizon_epochs < math.inf:
            raise ValueError(f"horizon_epochs is {self.horizon_epochs}; it must be positive and finite.")
        if not 0 <= self.warmup_epochs <= self.horizon_epochs:
            raise ValueError(
                f"warmup_epochs is {self.warmup_epochs}; it must lie between 0 and "
                f"horizon_epochs = {self.horizon_epochs}."
            )
        self._check_steps()

    def _check_steps(self) -> None:
        if bool(self.decay_epochs) != (self.name == "steps"):
            raise ValueError(
                f"decay_epochs is {self.decay_epochs} with schedule {self.name!r}; give the epochs of the "
                "steps to 'steps' and to no other schedule."
            )
        pairs = zip((0.0, *self.decay_epochs), (*self.decay_epochs, self.horizon_epochs), strict=True)
        if self.decay_epochs and not all(earlier < later for earlier, later in pairs):
            raise ValueError(
                f"decay_epochs is {self.decay_epochs}; the epochs must ascend strictly and lie between 0 and "
                f"horizon_epochs = {self.horizon_epochs}."
            )
        if not 0 < self.decay_factor <= 1:
            raise ValueError(f"decay_factor is {self.decay_factor}; it must lie in (0, 1].")

    @property
    def last_epoch(self) -> int:
        """An epoch from which on the rate no longer changes."""
        return math.ceil(self.warmup_epochs + self.horizon_epochs) + 1

    def rate_at_epoch(self, t: int) -> float:
        """The learning rate `peak * f(t)` of epoch t = 0, 1, ..."""
        if t < 0:
            raise ValueError(f"epoch is {t}; epochs are counted from 0.")
        return self.peak * SCHEDULES[self.name](self, t)


def published(rates: EpochRates, t: int) -> float:
    """The schedule of the published runs, which spends its first epoch at rate 0.

    `t <= W: t / W`;  `t > W: (1 + cos(pi * (t - W - 1) / T)) / 2`, with T = `horizon_epochs`. Without a
    warmup the cosine starts at t = 0: `(1 + cos(pi * t / T)) / 2`. It reaches 0 at t = W + 1 + T (T without a
    warmup) and stays there, where PyTorch's cosine would rise again.

    Source: Geiping et al. 2022 (arXiv 2109.14119), as its code computes it.
    """
    warmup = rates.warmup_epochs
    if warmup == 0:
        return _half_cosine(t / rates.horizon_epochs)
    if t <= warmup:
        return t / warmup
    return _half_cosine((t - warmup - 1) / rates.horizon_epochs)


def cosine(rates: EpochRates, t: int) -> float:
    """`(t + 1) / W` for t < W, then `(1 + cos(pi * s)) / 2`, s = (t - W) / (horizon - W); 0 after s = 1."""
    return min(_warmup(rates, t), _half_cosine(_decay_progress(rates, t)))


def linear(rates: EpochRates, t: int) -> float:
    """`(t + 1) / W` for t < W, then `1 - s`, s = (t - W) / (horizon - W); 0 after s = 1."""
    return min(_warmup(rates, t), 1 - _decay_progress(rates, t))


def steps(rates: EpochRates, t: int) -> float:
    """`(t + 1) / W` for t < W, then 1; times `decay_factor` for each of `decay_epochs` that t has reached."""
    reached = sum(t >= epoch for epoch in rates.decay_epochs)
    return _warmup(rates, t) * rates.decay_factor**reached


def constant(rates: EpochRates, t: int) -> float:
    """`(t + 1) / W` for t < W, then 1."""
    return _warmup(rates, t)


SCHEDULES: dict[str, Callable[[EpochRates, int], float]] = {
    "published": published,
    "cosine": cosine,
    "linear": linear,
    "steps": steps,
    "constant": constant,
}


def scale_learning_rate(learning_rate: float, update_batch_size: int, mode: str, base: int = 128) -> float:
    """The learning rate for another update batch: "linear" gives `learning_rate * update_batch_size / base`.

    Args:
        learning_rate: The rate for an update batch of `base` samples.
        update_batch_size: Samples whose gradient makes one step.
        mode: "none" (the rate as it is) or "linear".
        base: Samples the rate was chosen for.

    Raises:
        ValueError: If the mode is unknown or a size is not positive.

    Source: Goyal et al. 2017 (arXiv 1706.02677), the linear scaling rule.
    """
    if mode not in BATCH_SIZE_SCALINGS:
        raise ValueError(f"mode is {mode!r}; accepted are {', '.join(map(repr, BATCH_SIZE_SCALINGS))}.")
    if update_batch_size < 1 or base < 1:
        raise ValueError(f"update_batch_size is {update_batch_size} and base {base}; both must be positive.")
    return learning_rate if mode == "none" else learning_rate * update_batch_size / base


def learning_rates(config: Config, update_batch_size: int) -> EpochRates:
    """The learning rate of every epoch of a run.

    Args:
        config: The run.
        update_batch_size: Samples whose gradient makes one step.

    Raises:
        UserError: A schedule that cannot be.
    """
    optimizer = config.optimizer
    peak = scale_learning_rate(optimizer.learning_rate, update_batch_size, optimizer.learning_rate_scaling)
    try:
        return EpochRates(
            name=optimizer.schedule,
            peak=peak,
            warmup_epochs=optimizer.warmup_epochs,
            horizon_epochs=config.schedule_epochs,
            decay_epochs=optimizer.decay_epochs,
            decay_factor=optimizer.decay_factor,
        )
    except ValueError as error:
        raise UserError(f"--schedule={optimizer.schedule}: {error}") from error


def _warmup(rates: EpochRates, t: int) -> float:
    """`(t + 1) / W` up to 1."""
    return min(1.0, (t + 1) / rates.warmup_epochs) if rates.warmup_epochs else 1.0


def _decay_progress(rates: EpochRates, t: int) -> float:
    """How far t is between the warmup's end (0) and the horizon (1)."""
    if t < rates.warmup_epochs:
        return 0.0
    length = rates.horizon_epochs - rates.warmup_epochs
    return min(1.0, (t - rates.warmup_epochs) / length) if length else 1.0


def _half_cosine(progress: float) -> float:
    """`(1 + cos(pi * s)) / 2` for s in [0, 1], held at its ends outside."""
    return (1 + math.cos(math.pi * min(1.0, max(0.0, progress)))) / 2
