"""What all commands share: --version."""

import contextlib
import io
import unittest

import tf_fullbatch
from tf_fullbatch.commands import benchmark, launch_local, report, study, train


class VersionTest(unittest.TestCase):
    def test_every_command_shows_it(self):
        for command in (train, study, report, launch_local, benchmark):
            out = io.StringIO()
            with self.subTest(command.__name__), contextlib.redirect_stdout(out):
                self.assertEqual(0, command.main(["command", "--version"]))
                self.assertEqual(f"tf_fullbatch {tf_fullbatch.__version__}\n", out.getvalue())


if __name__ == "__main__":
    unittest.main()
