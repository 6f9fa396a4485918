"""What the runs of a study cost, in units that no machine decides."""

from dataclasses import dataclass

from tf_fullbatch.config.run import Config


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a run.

    Attributes:
        passes: Over the training set.
        training_samples: Samples of the training set; None where the data are not there to be counted.
        gradient_evaluations: Per sample and pass.
    """

    passes: int
    training_samples: int | None
    gradient_evaluations: int

    @property
    def samples(self) -> int | None:
        """Samples seen in all."""
        return None if self.training_samples is None else self.passes * self.training_samples

    @property
    def total(self) -> int | None:
        """Gradient evaluations in all."""
        return None if self.samples is None else self.samples * self.gradient_evaluations


def cost_of(config: Config) -> Cost:
    """The cost of a run with these settings.

    Raises:
        UserError: There is no such data set, or it has too few samples for these settings, as far as that is known.
    """
    from tf_fullbatch.data.splits import check_sizes  # NumPy, for which --help would wait

    data = config.data
    available = data.count_training_samples()
    samples = data.train_size
    if available is not None:
        check_sizes(available, data.train_size, data.validation_size)
        samples = data.train_size or available - data.validation_size
    if samples is not None:
        config.check_training_set(samples)
    return Cost(config.total_epochs, samples, config.step.gradient_evaluations)
