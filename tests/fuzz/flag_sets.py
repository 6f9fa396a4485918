"""Sets of flags that were valid before they were mutated: values, names, forms and flagfiles."""

import dataclasses
import string
import typing
from pathlib import Path

from hypothesis import strategies as st

from tf_fullbatch.config.run import settings_fields
from tf_fullbatch.settings.fields import flag_text

FLAGS_FOLDER = Path(__file__).parents[2] / "flags"
SHIPPED = sorted(str(path) for path in FLAGS_FOLDER.rglob("*.flags"))
SETTINGS = [setting for _, setting in settings_fields()]
NAMES = [setting.name for setting in SETTINGS]

_NUMBERS = (
    "0", "1", "-1", "2", "3", "0.5", "1.5", "1e-300", "1e300", "1e400", "-0.0", "nan", "inf", "-inf", "NaN",
    "2147483647", "2147483648", "9223372036854775807", "9223372036854775808", "9" * 30, "9" * 400, "9" * 5000,
    "1_000", "0x10", "1e2", "٣", "1,2", "2,1", ",", "1,,2", "nan,1", "1;2", "3,5,7", "1e400,2",
)  # fmt: skip
_WORDS = (
    "", " ", "none", "full", "None", "null", "true", "True", "false", "auto", "10m", "0m", "m", "-5m", "a b", "it's",
    '"', "#", "--epochs=3", "~", "~nobody-here/x", "./~", "./none", "a" * 300, "a/" * 3000, "a" * 10_000, "ä\u00a0ö",
    "\u202e\u2028", "a\nb", "a\r\n", "\x00", "\x1b[31m", "\t", "\ud800", "\udcff", "日本語",
    "\\", "$HOME", "%s%n", "{0}", "../..", "/",
)  # fmt: skip
JUNK = st.sampled_from(_NUMBERS + _WORDS) | st.text(max_size=8)


def boundary_values(setting: dataclasses.Field) -> list[str]:
    """A setting's default, its choices, and numbers at and beside the ends of its range, as its flag takes them."""
    limits = setting.metadata
    texts = [flag_text(setting, setting.default), *limits["choices"]]
    for end in ("minimum", "above", "below", "maximum"):
        if limits[end] is not None:
            texts += [flag_text(setting, limits[end]), str(limits[end] + 1), str(limits[end] - 1)]
    if bool in (setting.type, *typing.get_args(setting.type)):
        texts += ["true", "false"]
    return texts


_VALID = [(setting.name, text) for setting in SETTINGS for text in boundary_values(setting)]
_ASSIGNED = st.sampled_from(_VALID).map(lambda pair: f"--{pair[0]}={pair[1]}")
_NAME = st.sampled_from(NAMES)
_UNKNOWN = (
    st.text(string.ascii_lowercase + "_-", max_size=12)
    | st.text(max_size=6)
    | st.sampled_from(["a" * 3000, "undefok", "help", "helpfull", "noquiet", "no", "-", "flagfil", "épochs"])
)
_MUTATED = st.one_of(
    st.builds("--{}={}".format, _NAME, JUNK),
    st.builds("--{}={}".format, _NAME, JUNK),
    st.builds("--{}{}".format, _NAME, JUNK),  # no "="
    st.builds("--no{}".format, _NAME),
    st.builds("--no{}={}".format, _NAME, JUNK),
    st.builds("--{}".format, _NAME),
    st.builds("{}{}={}".format, st.sampled_from(["", "-", "---", "\u2013", " --", "--\n"]), _NAME, JUNK),
    st.builds("--{}={}".format, _UNKNOWN, JUNK),
    st.builds("--{}".format, _UNKNOWN),
    st.builds(lambda name: f"--{name[:-1]}=1", _NAME),
    st.builds(lambda name: f"--{name.upper()}=1", _NAME),
    JUNK,
)


def write_hostile_flagfiles(folder: Path) -> list[str]:
    """Flagfiles that include themselves, are binary, or are otherwise not what is meant; their paths, and none's."""
    texts = {
        "itself": b"--flagfile=itself\n",
        "there": b"--flagfile=back\n",
        "back": b"--epochs=3\n--flagfile=there\n",
        "binary": bytes(range(256)) * 20,
        "utf16": "--epochs=3\n".encode("utf-16"),
        "null": b"--flagfile=a\0b\n",
        "escape": b"--epochs=\x1b[2J\n",
        "quote": b"--epochs=3\n'--seed=\n",
        "word": b"epochs = 3\n",
        "empty": b"",
        "one_line": b"--epochs=3 --seed=4 # and a comment\n",
        "no_value": b"--flagfile\n",
        "absent_inside": b"--flagfile=nowhere.flags\n",
        "long": b"--output_dir=" + b"a" * 10_000 + b"\n",
        "many": b"--epochs=3\n" * 300,
        "deep0": b"--seed=5\n",
        "home": b"--flagfile=~nobody-here/x\n",
        "separators": "--epochs=3\x85--seed=4\u2028--quiet\x0b\n".encode(),
    }
    texts |= {f"deep{i}": f"--flagfile=deep{i - 1}\n".encode() for i in range(1, 80)}
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    (folder / "loop").symlink_to("loop")
    named = [name for name in texts if not name.startswith("deep")] + [
        "deep9",
        "deep79",
        "loop",
        "absent",
        "",
    ]
    return [f"{folder}/{name}" for name in named] + [
        "",
        "~nobody-here/x",
        "a\0b",
        "a" * 5000,
        "a\nb",
        "\ud800",
    ]


@st.composite
def mutated_flag_sets(draw: st.DrawFn, hostile: tuple[str, ...]) -> list[str]:
    """A valid set of flags, changed in up to three places.

    Args:
        draw: Hypothesis'.
        hostile: Paths of flagfiles that may be included.
    """
    arguments = draw(st.lists(_ASSIGNED, max_size=4))
    if draw(st.integers(0, 3)) == 0:
        arguments.insert(0, f"--flagfile={draw(st.sampled_from(SHIPPED))}")
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(arguments)))
        kind = draw(st.sampled_from(["insert", "insert", "insert", "split", "double", "flagfile", "cut"]))
        if kind == "insert":
            arguments.insert(place, draw(_MUTATED))
        elif kind == "flagfile":
            arguments.insert(place, f"--flagfile={draw(st.sampled_from(hostile))}")
        elif place < len(arguments):
            old = arguments[place]
            if kind == "split":
                arguments[place : place + 1] = old.split("=", 1)
            elif kind == "double":
                arguments.append(old)
            else:
                arguments[place] = old[: draw(st.integers(0, len(old)))]
    return arguments
