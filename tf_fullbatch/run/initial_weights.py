"""`--initial_weights`: a network begins from the weights of another run, or of a file."""

from pathlib import Path

import keras

from tf_fullbatch.core.keras_internals import deep_networks
from tf_fullbatch.errors import UserError, one_line
from tf_fullbatch.records.checkpoints import load_step
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.training.state import restore_network


def load_initial_weights(network: keras.Model, source: str, step: int | None = None) -> None:
    """Loads weights into a network from a run folder, a .keras file or a .weights.h5 file.

    Args:
        network: The network.
        source: The folder or file.
        step: Which checkpoint of a run folder; None for its model.keras, the last.

    Raises:
        UserError: The file or checkpoint is missing, damaged, or of another network.
    """
    path = Path(source).expanduser()
    try:
        if step is not None:
            if not path.is_dir():
                raise UserError(
                    f"--step={step} with --initial_weights={source}: only a run folder has steps."
                )
            if not restore_network(network, load_step(RunFolder(path).checkpoints, step).arrays):
                raise _of_another_network(source, network)
            return
        if path.is_dir():
            path = path / "model.keras"
        found = path.is_file()
    except OSError as error:  # such as a name that is too long
        raise UserError(f"--initial_weights={source}: {error.strerror or error}.") from error
    accepted = path.name.endswith((".keras", ".weights.h5"))
    if not (found and accepted):
        problem = f"there is no {path}" if not found else "it is another kind of file"
        raise UserError(f"--initial_weights={source}: {problem}. Give a run folder, .keras or .weights.h5.")
    try:
        if path.name.endswith(".weights.h5"):
            network.load_weights(path)
            return
        with deep_networks():
            weights = keras.models.load_model(path, compile=False).get_weights()
    except Exception as error:  # Keras raises many kinds, for damaged files and for other architectures
        reason = one_line(error)
        raise UserError(
            f"--initial_weights={source}: {path.name} is damaged, or of another network ({reason})."
        ) from error
    if [w.shape for w in weights] != [w.shape for w in network.get_weights()]:
        raise _of_another_network(source, network)
    network.set_weights(weights)


def _of_another_network(source: str, network: keras.Model) -> UserError:
    return UserError(
        f"--initial_weights={source}: does not fit --model={network.name} and its settings. Give the --model, --width, "
        "--norm and so on that it was trained with."
    )
