"""The table of augmentations in docs/running.md: every part, its options with their defaults, and its source."""

import dataclasses
import re
from pathlib import Path

from tf_fullbatch.data.augment.registry import PARTS

TEXT = (Path(__file__).parents[2] / "docs" / "running.md").read_text(encoding="utf-8")
SECTION = TEXT.partition("\n## Augmentation\n")[2].partition("\n## ")[0]


def test_table():
    found = {}
    for name, options, source in re.findall(
        r"^\| `([a-z_]+)[\d.]*` \| ?(.*?) ?\|.*\| (.*?) \|$", SECTION, re.MULTILINE
    ):
        found[name] = (options.strip("`"), source)
    expected = {}
    for name, kind in PARTS.items():
        options = ",".join(
            f"{field.name}={field.default:g}"
            if isinstance(field.default, float)
            else f"{field.name}={field.default}"
            for field in dataclasses.fields(kind)
        )
        expected[name] = (options, kind.source)
    assert found == expected
