"""The command `python -m tf_fullbatch.models`: the networks there are and what they cost."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_fullbatch.commands import console
from tf_fullbatch.errors import UserError
from tf_fullbatch.models.registry import MODELS
from tf_fullbatch.models.settings import ModelConfig
from tf_fullbatch.settings import flag_parsing
from tf_fullbatch.settings.fields import check_range, check_ranges, refuse_repeats, setting
from tf_fullbatch.settings.flag_parsing import help_lines

PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What is asked; each is a flag of the same name."""

    model: tuple[str, ...] = setting(
        (),
        "Networks, separated by commas; of a single one every layer is shown. Unset: all that are built in.",
        choices=tuple(MODELS),
        or_code=True,
        listed_by="python -m tf_fullbatch.models",
    )
    image_size: int = setting(32, "Side of the images in pixels.", minimum=1, maximum=4096)
    channels: int = setting(3, "Channels of a pixel.", minimum=1)
    classes: int = setting(10, "Classes.", minimum=1)
    plot: str | None = setting(
        None, f"File for a picture of the one network that --model names: {', '.join(PICTURES)}."
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        refuse_repeats(self, ("model",))
        if self.plot is not None:
            if len(self.model) != 1:
                raise UserError(f"--plot={self.plot}: name one --model to draw.")
            if Path(self.plot).suffix not in PICTURES or not Path(self.plot).absolute().parent.is_dir():
                raise UserError(
                    f"--plot={self.plot}: give a file in an existing folder, ending in {', '.join(PICTURES)}."
                )


def network_fields() -> list[dataclasses.Field]:
    """The settings of networks, of all families."""
    return [f for f in ModelConfig.flat_fields() if f.name not in ("model", "initial_weights", "step")]


Configs = dict[str, ModelConfig | UserError]
"""Network -> its settings; what is said of one that does not take those that are given."""


def parse(argv: Sequence[str]) -> tuple[Options, Configs] | None:
    """The options, and the settings of every network to look at; None where the arguments ask for help.

    Of several networks those that lack a setting are refused each by itself, unless all are.

    Args:
        argv: The program's name and its arguments.

    Raises:
        UserError: An unknown flag, or a value that does not parse or is refused.
    """
    values = flag_parsing.parse(argv, [*dataclasses.fields(Options), *network_fields()])
    if values is None:
        return None
    options = Options(**{field.name: values[field.name] for field in dataclasses.fields(Options)})
    given: dict[str, Any] = {field.name: values[field.name] for field in network_fields()}
    for field in network_fields():
        check_range(field, given[field.name])
    configs = {name: _config(name, given) for name in options.model or MODELS}
    refused = [config for config in configs.values() if isinstance(config, UserError)]
    if len(refused) == len(configs):
        raise refused[0]
    return options, configs


def _config(name: str, given: dict[str, Any]) -> ModelConfig | UserError:
    """A network's settings; or why it has not those that are given."""
    try:
        return ModelConfig.of(model=name, **given)
    except UserError as error:
        return error


def help_text() -> str:
    """What the command does, and all flags with their defaults."""
    lines = [
        "usage: python -m tf_fullbatch.models [--name=value ...]",
        "",
        "Lists networks with their trainable parameters, the multiply-adds of one forward pass of a sample, the",
        "memory that a sample takes for the gradient (in float32, estimated from the layers' outputs), and the",
        "published number of parameters with its source. Nothing is trained, and no weights are made.",
        "",
        *[line for field in dataclasses.fields(Options) for line in help_lines(field)],
        "",
        "Settings of the networks; of several, those that lack one that is given are not counted:",
        *[line for field in network_fields() for line in help_lines(field)],
    ]
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; a user's mistake is one line on standard error."""
    return console.exit_code(argv, parse, help_text, _execute, "interrupted")


def _execute(parsed: tuple[Options, Configs]) -> int:
    options, configs = parsed
    console.use_tensorflow()
    from tf_fullbatch.display.tensorflow_log import quiet_tensorflow

    with quiet_tensorflow():  # TensorFlow takes seconds to import
        from tf_fullbatch.models import costs  # noqa: F401
    if len(configs) == 1:
        ((name, config),) = configs.items()
        assert isinstance(config, ModelConfig)  # it would have been refused alone
        _show_layers(name, config, options)
    else:
        _list(configs, options)
    return 0


def _list(configs: Configs, options: Options) -> None:
    """A line per network, each as soon as it is counted."""
    from tf_fullbatch.display import network_table

    print(f"{_images(options)}\n{network_table.list_heading(list(configs))}", flush=True)
    for name, config in configs.items():
        print(_line(name, config, options, list(configs)), flush=True)


def _line(name: str, config: ModelConfig | UserError, options: Options, names: list[str]) -> str:
    """A network's line in the list of all; one that does not take the images or settings says so."""
    from tf_fullbatch.display import network_table
    from tf_fullbatch.models.costs import costs_of

    if isinstance(config, UserError):
        return network_table.refused_line(name, str(config), names)
    try:
        costs = costs_of(config, options.image_size, options.channels, options.classes)
    except UserError:
        raise
    except ValueError as error:
        return network_table.refused_line(name, str(error), names)
    return network_table.list_line(name, costs, _published(name, config, options), names)


def _show_layers(name: str, config: ModelConfig, options: Options) -> None:
    """Every layer of one network, what was published of it, and its picture."""
    from tf_fullbatch.display import network_table
    from tf_fullbatch.display.network_diagram import save_diagram
    from tf_fullbatch.models.costs import costs_of
    from tf_fullbatch.models.layer_cost import parts

    try:
        costs = costs_of(config, options.image_size, options.channels, options.classes)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"--model={name}: {error}") from error
    print(f"{_images(options)}\n{network_table.layer_table(costs)}")
    print(f"published: {_published(name, config, options)}")
    if options.plot is not None:
        image = (options.image_size, options.image_size, options.channels)
        save_diagram(options.plot, name, image, parts(costs))
        print(f"picture: {options.plot}", file=sys.stderr)


def _images(options: Options) -> str:
    sides = f"{options.image_size}x{options.image_size}x{options.channels}"
    return f"images of {sides}, {options.classes} classes, float32"


def _published(name: str, config: ModelConfig, options: Options) -> str:
    """What was published of a network with the settings that it has."""
    from tf_fullbatch.display.network_table import published_text

    published = MODELS[name].published.get(name, ()) if name in MODELS else ()
    of_these = [one for one in published if ModelConfig.of(model=name, **dict(one.settings)) == config]
    if published and not of_these:
        return "- (of other settings alone)"
    return published_text(of_these, options.image_size, options.channels, options.classes)
