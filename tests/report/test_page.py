"""The page: whole, alone, honest about seeds, and safe from what names contain."""

import contextlib
import re
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

from matplotlib.figure import Figure

from tests.report.made_runs import BASE, SGD, finished_study, small_study, write_run
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.files import write_text
from tf_fullbatch.records.study_file import Arm, Published, Study, folder_of, write_study
from tf_fullbatch.report import style
from tf_fullbatch.report.loading import load
from tf_fullbatch.report.page import markdown_text, write_page

VOID = {"meta", "link", "img", "wbr"}


class Page(HTMLParser):
    """Collects the elements of a page and checks that they close in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.links += [str(found[name]) for name in ("src", "href") if name in found]
        if tag == "img":
            self.images.append(found)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag


def _save_nothing(figure: Figure, folder: Path, name: str) -> None:
    del figure
    write_text(folder / f"{name}.svg", "<svg/>")


class PageTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def report(self, *paths: Path, drawn: bool = False) -> tuple[str, str]:
        """report.html and report.md; where nothing is to be `drawn`, with empty pictures, which saves seconds."""
        with contextlib.nullcontext() if drawn else mock.patch.object(style, "save", _save_nothing):
            write_page(load(paths or [self.folder / "study"]), self.folder / "report")
        return tuple((self.folder / "report" / name).read_text() for name in ("report.html", "report.md"))

    def test_whole_and_alone(self):
        finished_study(self.folder / "study")
        html, markdown = self.report(drawn=True)
        page = Page(html)
        self.assertEqual(len(page.images), 8)
        self.assertTrue(all(image["alt"] for image in page.images))
        self.assertTrue(all(link.startswith("data:") for link in page.links), page.links)
        self.assertNotRegex(html, r"(?i)<script|@import|url\(|https?://")
        for text in (html, markdown):
            for expected in ("A study", "9 of 9 completed, in 3 arms", "95.00 ± 1.00", "a paper, quoted from memory",
                             "Nothing: every run is completed", "2.48 s with 3 seeds", "CPU, 1 replica",
                             "tensorflow 2.21.0", "forward_differences"):  # fmt: skip
                self.assertIn(expected, text.replace("<wbr>", ""))
            self.assertNotIn("no claim", text)
        pictures = re.findall(r"!\[.*\]\((.*)\)", markdown)
        self.assertEqual(len(pictures), 8)
        for picture in pictures:
            content = (self.folder / "report" / picture).read_bytes()
            self.assertTrue(content.startswith(b"\x89PNG"))
            self.assertIn(b"<svg", (self.folder / "report" / picture).with_suffix(".svg").read_bytes())

    def test_tables_of_markdown_have_as_many_cells_in_every_line(self):
        finished_study(self.folder / "study")
        _, markdown = self.report()
        tables = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
        self.assertEqual(len(tables), 3)
        for table in tables:
            lines = table.splitlines()
            self.assertGreater(len(lines), 3)
            self.assertEqual(len({line.count("|") for line in lines}), 1, table)

    def test_one_seed_makes_no_claim(self):
        finished_study(self.folder / "study", seeds=(0,))
        for text in self.report():
            self.assertIn("One seed: points, no claim.", text)
            self.assertNotIn("half the width", text)

    def test_what_is_missing_is_said(self):
        finished_study(self.folder / "study")
        study = self.folder / "study"
        write_text(folder_of(study, "fb", 1).metrics, "half a record")
        write_text(folder_of(study, "sgd", 2).summary, "{")
        folder_of(study, "clipped", 0).config.unlink()
        for text in self.report():
            self.assertIn("7 of 9 completed", text)
            self.assertRegex(text, r"clipped, seed 0: .*config.json is missing\. Restore it")
            self.assertIn("sgd, seed 2: ", text)
            self.assertNotIn("Nothing: every run", text)
            self.assertIn("Gains are of seed 2 alone", text)

    def test_nothing_in_a_name_becomes_markup(self):
        nasty = "<script>alert('x')</script>|`*"
        arm = Arm(name="plain", config=BASE, published=Published(accuracy=1.0, spread=None, source=nasty))
        (self.folder / "study").mkdir()
        write_study(self.folder / "study", Study(title=nasty, arms=(arm,), seeds=(0,)))
        write_run(folder_of(self.folder / "study", "plain", 0), BASE, 0.9)
        html, markdown = self.report()
        Page(html)
        self.assertNotIn("<script", html)
        self.assertNotIn("<script", markdown)
        self.assertIn("&lt;script&gt;", html)

    def test_diverged_seeds_are_said_to_be_left_out(self):
        write_run(self.folder / "a/seed-0", BASE, 0.9)
        write_run(self.folder / "a/seed-1", BASE.replacing(seed=1), 0.1, passes=2, outcome="NON_FINITE")
        for text in self.report(self.folder / "a"):
            self.assertIn("1 of 2 runs ended early; figures of this arm are of the others alone", text)
            self.assertIn("of 100, one accuracy has a binomial standard error of up to 5.00 points", text)

    def test_different_devices_and_micro_batches_are_said(self):
        write_run(self.folder / "a", BASE, 0.9)
        write_run(self.folder / "b", SGD.replacing(micro_batch_size=8), None, validation=0.8, device="a GPU")
        html, _ = self.report(self.folder / "a", self.folder / "b")
        self.assertIn("their wall times do not compare", html)
        self.assertIn("8, 16 samples", html)
        self.assertIn("Arms marked (validation)", html)

    def test_a_single_run(self):
        write_run(self.folder / "a", BASE, 0.9)
        html, _ = self.report(self.folder / "a")
        self.assertEqual(len(Page(html).images), 4)
        self.assertNotIn("Paired differences", html)

    def test_a_study_not_yet_begun(self):
        small_study(self.folder / "study")
        html, _ = self.report()
        Page(html)
        self.assertIn("0 of 9 completed", html)
        self.assertIn("No pair has a seed that is completed in both arms.", html)

    def test_a_folder_that_cannot_be_made(self):
        write_run(self.folder / "a", BASE, 0.9)
        write_text(self.folder / "report", "a file")
        with self.assertRaisesRegex(UserError, "cannot write .*report"):
            self.report(self.folder / "a")


class MarkdownTest(unittest.TestCase):
    def test_escapes(self):
        self.assertEqual(markdown_text("a|b <c> & `d`\n[1]"), "a\\|b &lt;c> &amp; \\`d\\` \\[1\\]")
        self.assertEqual(markdown_text("fb_train_longer ± 1.0"), "fb_train_longer ± 1.0")
