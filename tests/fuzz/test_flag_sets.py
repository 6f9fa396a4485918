"""Hundreds of mutated sets of flags: a configuration that can be written down and read back, or one line."""

import contextlib
import io
import json
import re
import sys
import tempfile
import types
import unittest
from collections import Counter
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

import tf_fullbatch.run
from tests.fuzz.flag_sets import mutated_flag_sets, write_hostile_flagfiles
from tests.house.without_tensorflow import Blocker
from tf_fullbatch.commands.train import main
from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.run import Config
from tf_fullbatch.errors import Outcome, UserError

EXAMPLES = 600
PARSE = cli_flags.parse

NAMED = re.compile(
    r"(flag )?--(?P<flag>[a-z_]+)|Unknown command line flag '|unexpected argument |"
    r"Missing value for flag --|--flagfile"
)
"""How a message begins: with the flag or the argument at fault."""


class FlagSetsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.hostile = tuple(write_hostile_flagfiles(self.folder))
        self.written = self.folder / "run.flags"
        self.ends: Counter[str] = Counter()
        # Whatever a parsed configuration would do is left out, and so is TensorFlow.
        run = types.ModuleType("tf_fullbatch.run.execute")
        run.execute = lambda config: Outcome.COMPLETED  # type: ignore[attr-defined]
        self.enterContext(mock.patch.dict(sys.modules, {"tf_fullbatch.run.execute": run}))
        self.enterContext(mock.patch.object(tf_fullbatch.run, "execute", run, create=True))
        self.enterContext(mock.patch.object(sys, "meta_path", [Blocker(), *sys.meta_path]))
        self.enterContext(mock.patch("tf_fullbatch.commands.train.quiet_tensorflow", contextlib.nullcontext))

    def test_a_configuration_or_one_line(self):
        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
        @given(st.data())
        def check(data: st.DataObject) -> None:
            self.check(data.draw(mutated_flag_sets(self.hostile)))

        check()
        # The mutations neither spare nor spoil everything.
        self.assertGreater(self.ends["accepted"], EXAMPLES // 10, self.ends)
        self.assertGreater(self.ends["refused"], EXAMPLES // 4, self.ends)

    def check(self, arguments: list[str]) -> None:
        config, error, ended = _main(arguments)
        if error is not None:
            self.ends["refused"] += 1
            self.assertIsInstance(error, UserError)
            self.check_refusal(arguments, str(error))
            self.assertEqual((2, "", f"error: {error}\n"), ended)
            return
        if config is None:
            self.ends["help"] += 1
            self.assertEqual((0, ""), (ended[0], ended[2]))
            return
        self.ends["accepted"] += 1
        self.assertEqual((0, "", ""), ended)
        self.written.write_text(cli_flags.flagfile_text(config), encoding="utf-8")
        self.assertEqual(config, cli_flags.parse(["main", f"--flagfile={self.written}"]))
        self.assertEqual(config, Config.from_dict(config.to_dict()))
        self.assertEqual(config, Config.from_dict(json.loads(json.dumps(config.to_dict()))))

    def check_refusal(self, arguments: list[str], message: str) -> None:
        self.assertTrue(message.isprintable(), message)
        found = NAMED.match(message)
        self.assertIsNotNone(found, message)
        assert found is not None
        # A contradiction between two settings may be told from the side of the one at its default.
        given = [argument for argument in arguments if "flagfile" in argument]
        self.assertTrue(given or any(word in "".join(arguments) for word in re.findall(r"--(\w+)", message)) or
                        not found["flag"], message)  # fmt: skip


def _main(arguments: list[str]) -> tuple[Config | None, Exception | None, tuple[int, str, str]]:
    """What `cli_flags.parse` gave or raised within the command, and its code, output and errors."""
    config: Config | None = None
    raised: Exception | None = None

    def parse(argv: list[str]) -> Config | None:
        nonlocal config, raised
        try:
            config = PARSE(argv)
        except Exception as error:
            raised = error
            raise
        return config

    out, err = io.StringIO(), io.StringIO()
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with mock.patch.object(cli_flags, "parse", parse), streams[0], streams[1]:
        code = main(["main", *arguments])
    return config, raised, (code, out.getvalue(), err.getvalue())


if __name__ == "__main__":
    unittest.main()
