"""Names of code and files, and what they say."""

import unittest
from pathlib import Path

from absl.testing import parameterized

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import part_names


class NamesTest(parameterized.TestCase):
    @parameterized.parameters(
        ("keras:Adam", ("keras", "", "Adam"), False),
        ("a/b.py:f", ("file", "a/b.py", "f"), True),
        ("C:/a.py:f", ("file", "C:/a.py", "f"), True),
        ("package.module:f", ("module", "package.module", "f"), True),
    )
    def test_kinds(self, value: str, expected: tuple, users: bool) -> None:
        found = part_names.source_of("model", value)
        self.assertEqual((tuple(found), found.is_users), (expected, users))

    @parameterized.parameters("mlp", ":f", "a.py:", "a.py:f()", "a-b:f", "a.py", "keras:", "keras:a.b")
    def test_names_of_nothing(self, value: str) -> None:
        with self.assertRaisesRegex(UserError, r"^--model=.*: give a built-in name, keras:NAME"):
            part_names.source_of("model", value)

    def test_paths_are_made_absolute_and_shown_short(self) -> None:
        self.assertEqual(part_names.absolute("a.py:f"), f"{Path('a.py').resolve()}:f")
        self.assertEqual(part_names.absolute("~/a.py:f"), f"{Path.home().resolve() / 'a.py'}:f")
        self.assertEqual(part_names.absolute("b/../a.py:f"), part_names.absolute("a.py:f"))
        self.assertEqual(part_names.shortened("/x/a.py:f"), "a.py:f")
        for other in ("keras:Adam", "package.module:f", "mlp"):
            self.assertEqual((part_names.absolute(other), part_names.shortened(other)), (other, other))


if __name__ == "__main__":
    unittest.main()
