"""Every field of every class of settings refuses what is out of its range, as soon as it is made."""

import dataclasses
import importlib
import inspect
import pkgutil
import unittest
from collections.abc import Iterator

import tf_fullbatch
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.fields import Settings, is_setting

_NO_CHOICE = "nothing-of-this-name"


def every_kind() -> Iterator[type[Settings]]:
    """All classes of settings of the package."""
    for module in pkgutil.walk_packages(tf_fullbatch.__path__, "tf_fullbatch."):
        if not module.name.endswith("__main__") and ".pytorch" not in module.name:
            importlib.import_module(module.name)
    kinds = [Settings]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if dataclasses.is_dataclass(kind):
            yield kind


def out_of_range(field: dataclasses.Field) -> object | None:
    """A value that the field refuses; None where it takes all."""
    limits = field.metadata
    if "tuple" in str(field.type):
        return None
    if limits["choices"]:
        return None if limits["or_code"] else _NO_CHOICE
    if limits["minimum"] is not None:
        return limits["minimum"] - 1
    return limits["above"]


class EverySettingTest(unittest.TestCase):
    def test_refuses_what_is_out_of_its_range(self) -> None:
        tried = 0
        for kind in set(every_kind()):
            for field in filter(is_setting, dataclasses.fields(kind)):
                value = out_of_range(field)
                if value is None or not field.init or inspect.isabstract(kind):
                    continue
                with self.subTest(kind=kind.__qualname__, field=field.name), self.assertRaises(UserError):
                    kind(**{field.name: value})
                tried += 1
        self.assertGreater(tried, 100)


if __name__ == "__main__":
    unittest.main()
