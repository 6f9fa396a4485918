"""Code of the user's, its options, and what becomes of mistakes in it."""

import functools
import importlib.util
import json
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from absl.testing import parameterized

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import own_parts, part_options


class OptionsTest(parameterized.TestCase):
    @parameterized.parameters(
        (None, {}),
        ("", {}),
        ("a=1,b=0.5, c = text ", {"a": 1, "b": 0.5, "c": "text"}),
        ("a=True,b=None,c=1e-3", {"a": True, "b": None, "c": 1e-3}),
        ("sizes=[1, 2],t=(3,4),d={'k': 1}", {"sizes": [1, 2], "t": (3, 4), "d": {"k": 1}}),
        ("a='x, y',b=\"1\",c=u=v", {"a": "x, y", "b": "1", "c": "u=v"}),
        ("path=/a/b.txt", {"path": "/a/b.txt"}),
    )
    def test_values(self, text: str | None, expected: dict[str, Any]) -> None:
        self.assertEqual(part_options.parsed_options("model", text), expected)

    @parameterized.parameters(
        ("a", "'a' is no key=value"),
        ("1a=2", "'1a=2' is no key=value"),
        ("a=1,a=2", "a comes twice"),
        ("a=[1,2", "a quote or bracket is not closed"),
        ("a='x", "a quote or bracket is not closed"),
    )
    def test_what_is_no_option(self, text: str, words: str) -> None:
        with self.assertRaisesRegex(UserError, rf"^--model_options=.*{words}"):
            part_options.parsed_options("model", text)


class FunctionsTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "own.py"

    def written(self, text: str, name: str = "f") -> str:
        self.path.write_text(textwrap.dedent(text))
        return f"{self.path}:{name}"

    def refused(self, words: str, value: str) -> None:
        with self.assertRaisesRegex(UserError, words) as caught:
            own_parts.function_of("model", value)
        self.assertEqual(len(str(caught.exception).splitlines()), 1)

    def test_a_function_of_a_file_and_of_a_module(self) -> None:
        value = self.written("calls = []\ndef f(a, *, b=2):\n    calls.append(a)\n    return a, b\n")
        function = own_parts.function_of("model", value)
        self.assertEqual(own_parts.called("model", value, function, {"a": 1}, {"b": 5}), (1, 5))
        self.assertIs(own_parts.function_of("model", value), function)  # the file is imported once
        self.assertIs(own_parts.function_of("model", "json:dumps"), __import__("json").dumps)

    def test_a_changed_file_is_another(self) -> None:
        value = self.written("def f():\n    return 1\n")
        before = own_parts.file_hash("model", value)
        self.assertEqual(own_parts.function_of("model", value)(), 1)
        self.written("def f():\n    return 2\n")
        self.assertNotEqual(own_parts.file_hash("model", value), before)
        self.assertEqual(own_parts.function_of("model", value)(), 2)

    def test_only_code_has_a_hash(self) -> None:
        self.assertIsNone(own_parts.file_hash("model", "mlp"))
        self.assertIsNone(own_parts.file_hash("model", "keras:Adam"))

    def test_files_that_do_not_import(self) -> None:
        self.refused("there is no file", f"{self.path}:f")
        self.refused("there is no module nowhere.at_all", "nowhere.at_all:f")
        with mock.patch.object(importlib.util, "find_spec", return_value=None):
            self.refused(
                "keras_hub is not installed: pip install keras-hub.$", "keras_hub.models:ViTBackbone"
            )
        self.refused(r"cannot be imported: own.py, line 1: SyntaxError", self.written("def f(:\n"))
        self.refused(r"own.py, line 2: ZeroDivisionError: division by zero", self.written("x = 1\nx / 0\n"))
        self.refused(r"ModuleNotFoundError: No module named 'absent'", self.written("import absent\n"))
        self.refused("os.path has no file of code", "os.path:join")  # it is frozen into Python
        code = "def h(): ...\nclass G: ...\nfrom json import JSONDecoder\n"
        self.refused(r"own.py has no function or class 'f'; it has G, h", self.written(code))
        self.refused(r"has no function or class 'f'; it has none", self.written("f = 3\n"))
        self.refused(r"has no function or class 'f'; did you mean ff\?", self.written("def ff(): ..."))

    def test_modules_that_other_processes_find_functions_in(self) -> None:
        def within() -> None: ...

        self.assertIs(own_parts.module_of(json.dumps), json)
        self.assertIs(own_parts.module_of(json.JSONEncoder), json.encoder)
        for other in (within, lambda: None, functools.partial(json.dumps), json.JSONEncoder(), "dumps"):
            self.assertIsNone(own_parts.module_of(other))
        with mock.patch.object(json.dumps, "__module__", "__main__"):
            sys.modules["__main__"].dumps = json.dumps
            self.addCleanup(delattr, sys.modules["__main__"], "dumps")
            self.assertIsNone(own_parts.module_of(json.dumps))

    def test_calls_that_do_not_fit_or_fail(self) -> None:
        value = self.written("def f(a):\n    def inner():\n        raise KeyError('k')\n    inner()\n")
        function = own_parts.function_of("model", value)
        with self.assertRaisesRegex(UserError, r"f\(a\) does not take that: .*unexpected.*'c'"):
            own_parts.called("model", value, function, {"a": 1}, {"c": 1})
        with self.assertRaisesRegex(UserError, r"failed: own.py, line 3: KeyError: 'k'"):
            own_parts.called("model", value, function, {"a": 1}, {})


class OptionsTextTest(unittest.TestCase):
    def test_is_read_back(self) -> None:
        given = {
            "a": np.int64(8),
            "b": np.float32(0.5),
            "c": np.arange(3),
            "d": "a'b\"c,d",
            "e": None,
            "f": {"g": 1},
        }
        text = part_options.options_text("model", given)
        expected = {**given, "a": 8, "b": 0.5, "c": [0, 1, 2]}
        self.assertEqual(part_options.parsed_options("model", text), expected)

    def test_what_no_text_can_say(self) -> None:
        for value in (len, object(), float("nan")):
            with self.assertRaisesRegex(UserError, "--model_options has x="):
                part_options.options_text("model", {"x": value})


if __name__ == "__main__":
    unittest.main()
