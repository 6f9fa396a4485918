"""The loggers there are; their names are `config.runtime.LOGGERS`."""

import importlib.util
from collections.abc import Iterable

from tf_fullbatch.display.loggers.base import Logger
from tf_fullbatch.display.loggers.mlflow_logger import MlflowLogger
from tf_fullbatch.display.loggers.wandb_logger import WandbLogger
from tf_fullbatch.errors import UserError

LOGGERS: dict[str, type[Logger]] = {
    "wandb": WandbLogger,
    "mlflow": MlflowLogger,
}


def check_installed(names: Iterable[str]) -> None:
    """Refuses loggers whose packages are not there.

    Raises:
        UserError: Names one, and how to install it.
    """
    for name in names:
        missing = [package for package in LOGGERS[name].packages if importlib.util.find_spec(package) is None]
        if missing:
            raise UserError(
                f"--loggers={name}: {', '.join(missing)} is not installed. pip install 'tf-fullbatch[{name}]', or "
                f"leave {name} out."
            )
