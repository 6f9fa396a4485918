"""Runs opened for questions: on the devices asked for, with or without their augmentation."""

from typing import Any

import tensorflow as tf

from tf_fullbatch.config.run import Config
from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.errors import UserError
from tf_fullbatch.inspection.options import Options
from tf_fullbatch.inspection.plan import Place
from tf_fullbatch.inspection.subject import Subject
from tf_fullbatch.run.devices import choose_strategy, multi_worker
from tf_fullbatch.run.given import Parts
from tf_fullbatch.run.opened import opened
from tf_fullbatch.run.own_files import check_unchanged, refuse_unnamed
from tf_fullbatch.settings.components import choices


class Opener:
    """Opens runs one after the other, all on the same devices.

    Args:
        options: What is asked.
        parts: Objects of a Python program that the runs were trained on.
    """

    def __init__(self, options: Options, parts: Parts):
        self._options, self._parts = options, parts
        self._strategy: tf.distribute.Strategy | None = parts.strategy

    def open(self, place: Place) -> Subject:
        """The weights of a run at a step; see `run.opened.open_run`.

        Raises:
            UserError: Its checkpoint, data, code or average are not to be had; or the weights cannot be asked
                about.
        """
        config = place.config
        if not self._options.own_code:
            refuse_unnamed(
                place.folder, config, self._parts.values, "give --own_code if you know where it is from."
            )
        check_unchanged(place.folder, config)
        chosen = self._as_asked(config)
        if self._strategy is None:
            if multi_worker("auto") is not None:
                raise UserError("TF_CONFIG names a cluster, but runs are looked at in one process: unset it.")
            self._strategy = choose_strategy(chosen.runtime)
        run = opened(place.folder, chosen, place.step, self._strategy)
        if self._options.weights != "raw":
            run.use_average(self._options.weights)
        return Subject(run, config, place.name, self._options)

    def _as_asked(self, config: Config) -> Config:
        options = self._options
        found = config.replacing(
            data_dir=options.data_dir or config.data.data_dir,
            strategy="auto",
            num_replicas=options.num_replicas,
            simulate_devices=options.simulate_devices,
        )
        if options.augmentation and options.split == "train":
            return found
        return found.replacing(**_WITHOUT_AUGMENTATION)


def _augmentation_at_defaults() -> dict[str, Any]:
    (choice,) = (choice for _, choice in choices(StepConfig) if choice.by == "augmentation")
    of_all = {"augmentation": "none", "augment_copies": None, "copies_in_turn": False, "max_up": 1}
    return {field.name: field.default for field in choice.fields()} | of_all


_WITHOUT_AUGMENTATION = _augmentation_at_defaults()
