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
        UserError: Names all of them, and how to install them.
    """
    lacking = {
        name: [package for package in LOGGERS[name].packages if importlib.util.find_spec(package) is None]
        for name in names
    }
    lacking = {name: packages for name, packages in lacking.items() if packages}
    if lacking:
        given, missing = ",".join(lacking), [package for packages in lacking.values() for package in packages]
        raise UserError(
            f"--loggers={given}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed. "
            f"pip install 'tf-fullbatch[{given}]', or leave {' and '.join(lacking)} out."
        )
