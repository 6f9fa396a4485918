"""study.json: what was written is read back; anything else is one line."""

import dataclasses
import json
import tempfile
import unittest
from pathlib import Path

from tests.studies.studies import TINY, published, study
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.study_file import FILE_NAME, Arm, Study, folder_of, read_study, write_study


class RecordTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_read_back(self):
        whole = Study(
            title="Zwölf Zeilen",
            arms=(Arm(name="a", config=TINY, published=published()), Arm(name="b", config=TINY)),
            seeds=(3, 1),
            compare=(("a", "b"),),
            waterfall=("b", "a"),
        )
        write_study(self.folder, whole)
        self.assertEqual(whole, read_study(self.folder))

    def test_the_most_runs_side_by_side_are_kept(self):
        for jobs in (1, 3, 2):
            write_study(self.folder, dataclasses.replace(study("a"), jobs=jobs))
        self.assertEqual(3, read_study(self.folder).jobs)

    def test_run_folder(self):
        self.assertEqual(self.folder / "fb" / "seed-7", folder_of(self.folder, "fb", 7).path)

    def test_damaged_or_of_another_version(self):
        write_study(self.folder, study("a"))
        whole = json.loads((self.folder / FILE_NAME).read_text())
        row = whole["rows"][0]
        for content, said in (
            (whole | {"format_version": 2}, "format version 2, this tf_fullbatch reads 1"),
            ([], "damaged"),
            (whole | {"rows": None}, "damaged"),
            (whole | {"rows": [row | {"published": {"accuracy": 3}}]}, "damaged"),
            (
                whole | {"rows": [row | {"published": {"accuracy": "x", "spread": None, "source": ""}}]},
                "damaged",
            ),
            (
                whole | {"rows": [row | {"config": {}}]},
                r"study.json is damaged or .* \(arm 'a': a configuration has the groups",
            ),
            (
                whole | {"rows": [row | {"config": row["config"] | {"data": {"old": 1}}}]},
                "study.json is .*lacks data_dir, .*, and old is unknown",
            ),
            (whole | {"seeds": ["x"]}, "damaged"),
            (whole | {"seeds": []}, "damaged"),
            (whole | {"compare": [["a"]]}, "damaged"),
            ({k: v for k, v in whole.items() if k != "title"}, "damaged"),
        ):
            (self.folder / FILE_NAME).write_text(json.dumps(content))
            with self.subTest(said=said, content=content), self.assertRaisesRegex(UserError, said) as caught:
                read_study(self.folder)
            self.assertIn(str(self.folder / FILE_NAME), str(caught.exception))
        (self.folder / FILE_NAME).write_text(json.dumps(whole)[:100])
        with self.assertRaisesRegex(
            UserError, "damaged: not valid JSON .* Restore it, or start the study again in another folder"
        ):
            read_study(self.folder)
        (self.folder / FILE_NAME).unlink()
        with self.assertRaisesRegex(UserError, "cannot read"):
            read_study(self.folder)


if __name__ == "__main__":
    unittest.main()
