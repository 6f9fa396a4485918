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
from tf_fullbatch.settings.fields import check_ranges, refuse_repeats, refuse_value_without_effect, setting
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


def parse(argv: Sequence[str]) -> tuple[Options, dict[str, ModelConfig]] | None:
    """The options, and the settings of every network to look at; None where the arguments ask for help.

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
    if not options.model:
        for field in network_fields():
            refuse_value_without_effect(field, given[field.name], "without --model")
        return options, {name: ModelConfig(model=name) for name in MODELS}
    return options, {name: ModelConfig.of(model=name, **given) for name in options.model}


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
        "Settings of the networks that --model names:",
        *[line for field in network_fields() for line in help_lines(field)],
    ]
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; a user's mistake is one line on standard error."""
    return console.exit_code(argv, parse, help_text, _execute, "interrupted")


def _execute(parsed: tuple[Options, dict[str, ModelConfig]]) -> int:
    options, configs = parsed
    console.use_tensorflow()
    from tf_fullbatch.display.tensorflow_log import quiet_tensorflow

    with quiet_tensorflow():  # TensorFlow takes seconds to import
        from tf_fullbatch.models import costs  # noqa: F401
    if len(configs) == 1:
        ((name, config),) = configs.items()
        _show_layers(name, config, options)
    else:
        _list(configs, options)
    return 0


def _list(configs: dict[str, ModelConfig], options: Options) -> None:
    """A line per network, each as soon as it is counted."""
    from tf_fullbatch.display import network_table
    from tf_fullbatch.models.costs import costs_of

    print(f"{_images(options)}\n{network_table.list_heading(list(configs))}", flush=True)
    for name, config in configs.items():
        try:
            costs = costs_of(config, options.image_size, options.channels, options.classes)
        except UserError:
            raise
        except ValueError as error:
            line = network_table.refused_line(name, str(error), list(configs))
        else:
            line = network_table.list_line(name, costs, _published(name, config, options), list(configs))
        print(line, flush=True)


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
    """What was published of a network, where it has the settings that this was published with."""
    from tf_fullbatch.display.network_table import published_text

    published = MODELS[name].published.get(name, ()) if name in MODELS else ()
    if published and config != ModelConfig(model=name):
        return "- (of other settings alone)"
    return published_text(published, options.image_size, options.channels, options.classes)
