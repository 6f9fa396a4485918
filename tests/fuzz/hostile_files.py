"""Files that would run code in whoever trusts them: networks, weights and checkpoints with a payload."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.fuzz.test_damaged_checkpoints import recompute_sums
from tf_fullbatch.records.checkpoint_files import ARRAYS
from tf_fullbatch.records.checkpoints import save_checkpoint


class Payload:
    """Makes the sentinel file when it is unpickled."""

    def __init__(self, sentinel: Path):
        self._sentinel = sentinel

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self._sentinel}",)


def lambda_network(path: Path, sentinel: Path) -> None:
    """A network whose Lambda layer, carried as marshalled code, makes the sentinel; .keras or .h5 by the name."""
    code = f"lambda x: [__import__('pathlib').Path({str(sentinel)!r}).touch(), x][1]"
    inputs = keras.Input((8, 8, 1))
    keras.Model(inputs, keras.layers.Lambda(eval(code))(inputs)).save(path)
    sentinel.unlink(missing_ok=True)  # the layer was called when the network was made


def network_with(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """A .keras file of a small network with a change to its configuration."""
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10, activation="relu")]
    keras.Sequential(layers).save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    change(config)
    files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def naming_changes(sentinel: Path) -> dict[str, Callable[[dict[str, Any]], None]]:
    """Changes to a network's configuration by which it names what is no layer, to be called with a chosen argument."""
    command, saved_model = f"touch {sentinel}", sentinel.with_name("saved_model")
    _save_writer(saved_model, sentinel)
    objects = {
        "os.system": ("os", "system", {"command": command}),
        "posix.system": ("posix", "system", {"command": command}),
        "subprocess.Popen": ("subprocess", "Popen", {"args": command, "shell": True}),
        "builtins.eval": ("builtins", "eval", {"source": f"__import__('os').system({command!r})"}),
        "pathlib.Path": ("pathlib", "Path", {"name": str(sentinel)}),
        "keras get_file": (
            "keras.utils",
            "get_file",
            {"fname": str(sentinel), "origin": "file:///etc/hostname"},
        ),
        "saved model": ("keras.layers", "TFSMLayer", {"filepath": str(saved_model)}),
        "TorchModuleWrapper": ("keras.layers", "TorchModuleWrapper", {"module": command}),
    }
    changes: dict[str, Callable[[dict[str, Any]], None]] = {}
    for name, (module, class_name, arguments) in objects.items():
        whole = {"module": module, "class_name": class_name, "config": arguments, "registered_name": None}
        function = {
            "module": module,
            "class_name": "function",
            "config": class_name,
            "registered_name": class_name,
        }
        changes[f"network {name}"] = _replacing(whole)
        changes[f"layer {name}"] = _setting_layer(whole)
        changes[f"activation made by {name}"] = _setting_activation(whole)
        if module == "keras.layers":
            continue  # the layer's class alone, which Keras accepts, makes nothing
        changes[f"activation {name}"] = _setting_activation(function)
        changes[f"Lambda of {name}"] = _setting_layer(
            {"module": "keras.layers", "class_name": "Lambda", "registered_name": None,
             "config": {"name": "a", "function": function, "arguments": {"command": command}}}
        )  # fmt: skip
    return changes


def _replacing(whole: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda config: config.update(whole)


def _setting_layer(layer: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["config"]["layers"].__setitem__(1, layer)


def _setting_activation(activation: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["config"]["layers"][2]["config"].update(activation=activation)


def _save_writer(folder: Path, sentinel: Path) -> None:
    """A TensorFlow SavedModel whose function makes the sentinel when it is called."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 1])])
    def write(images: tf.Tensor) -> tf.Tensor:
        tf.io.write_file(str(sentinel), "")
        return images

    module.write = write
    tf.saved_model.save(module, str(folder), signatures=write)


def pickled(path: Path, sentinel: Path) -> None:
    """A pickle under any name."""
    path.write_bytes(pickle.dumps(Payload(sentinel)))


def checkpoint_with_pickle(folder: Path, sentinel: Path) -> Path:
    """A checkpoint whose one array is a pickle of objects, with checksums that match."""
    path = save_checkpoint(folder, step=1, epoch=1, arrays={"a": np.zeros(1, np.float32)}, metadata={})
    member, archive = io.BytesIO(), io.BytesIO()
    np.save(member, np.array([Payload(sentinel)], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("00000.npy", member.getvalue())
    (path / ARRAYS).write_bytes(archive.getvalue())
    recompute_sums(path)
    return path
