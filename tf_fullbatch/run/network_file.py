"""model.keras: whether a network can be kept there, and how it is."""

from pathlib import Path

import keras

from tf_fullbatch.errors import UserError
from tf_fullbatch.records.files import os_errors_as_user_errors


def refuse_unsavable(network: keras.Model) -> None:
    """Refuses a network that Keras cannot save, which it would say only after the training.

    Raises:
        UserError: Names what to define.
    """
    try:
        keras.saving.serialize_keras_object(network)
    except Exception as error:  # of the user's `get_config`, or because there is none
        # Keras says at length which object it is, and that it must override get_config.
        reason = " ".join(str(error).split()).partition(", and therefore")[0] or repr(error)
        raise UserError(
            f"the network {type(network).__name__} cannot be saved as model.keras: {reason}. Define "
            "get_config (and from_config) in the classes of yours, which returns the arguments of __init__."
        ) from error


def save_network(network: keras.Model, path: Path) -> None:
    """Writes the network, in the place of a former one: beside it first, so that a killed process leaves that whole.

    Raises:
        UserError: The file cannot be written.
    """
    aside = path.with_name(".model.aside.keras")
    with os_errors_as_user_errors(path):
        try:
            network.save(aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
