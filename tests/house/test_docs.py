"""The site and the tour: the tour is shown as it ran, and the site has a page of every public name."""

import html.parser
import inspect
import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import pytest

import tf_fullbatch

ROOT = Path(__file__).resolve().parents[2]
TOUR = ROOT / "docs" / "tour.ipynb"


class TourTest(unittest.TestCase):
    def setUp(self):
        self.cells = json.loads(TOUR.read_text(encoding="utf-8"))["cells"]

    def test_is_shown_as_it_ran_from_top_to_bottom(self):
        code = [cell for cell in self.cells if cell["cell_type"] == "code"]
        self.assertEqual(list(range(1, len(code) + 1)), [cell["execution_count"] for cell in code])
        outputs = [output for cell in code for output in cell["outputs"]]
        self.assertEqual(set(), {"error"} & {output["output_type"] for output in outputs})
        self.assertEqual(4, sum("image/png" in output.get("data", {}) for output in outputs))
        self.assertLess(TOUR.stat().st_size, 400_000)
        self.assertNotIn("/tmp/", json.dumps([output.get("text", "") for output in outputs]))

    def test_links_exist(self):
        text = "".join("".join(cell["source"]) for cell in self.cells if cell["cell_type"] == "markdown")
        targets = re.findall(r"\]\(([^)#]+)\)", text)
        self.assertGreater(len(targets), 6)
        for target in targets:
            with self.subTest(target):
                self.assertTrue((TOUR.parent / target).is_file())


class PublicNamesTest(unittest.TestCase):
    def test_each_is_documented(self):
        for name in tf_fullbatch.__all__:
            with self.subTest(name):
                self.assertRegex(inspect.getdoc(getattr(tf_fullbatch, name)) or "", r"^[A-Z].*\.")


class _Page(html.parser.HTMLParser):
    """The anchors of a page, and what it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loaded: set[str] = set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        if tag in ("script", "img", "iframe") and given.get("src"):
            self.loaded.add(given["src"])
        if tag == "link" and given.get("rel") == "stylesheet":
            self.loaded.add(given["href"])


@pytest.mark.slow
class SiteTest(unittest.TestCase):
    """Builds the site as `make docs` does; needs the package registry."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.run_(sys.executable, "-m", "venv", cls.folder / "venv")
        python = cls.folder / "venv" / "bin" / "python"
        cls.run_(python, "-m", "pip", "install", "--quiet", "-r", ROOT / "docs" / "requirements.txt")
        cls.site = cls.folder / "site"
        cls.run_(python, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", cls.site)

    @staticmethod
    def run_(*command):
        done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")

    def page(self, name):
        page = _Page()
        page.feed((self.site / name).read_text(encoding="utf-8"))
        return page

    def test_the_python_page_has_every_public_name_and_no_other(self):
        ids = self.page("api.html").ids
        shown = {name for name in ids if re.fullmatch(r"tf_fullbatch\.\w+", name)}
        self.assertEqual({f"tf_fullbatch.{name}" for name in tf_fullbatch.__all__}, shown)
        for name in ("core.objective.Objective.hvp", "run.opened.OpenedRun.history", "FullBatchModel.fit"):
            self.assertIn(f"tf_fullbatch.{name}", ids)

    def test_opens_without_a_network(self):
        pages = sorted(self.site.rglob("*.html"))
        self.assertGreater(len(pages), 12)
        for path in pages:
            if path.name == "404.html":  # a server's
                continue
            for target in self.page(path.relative_to(self.site)).loaded:
                with self.subTest(page=path.name, target=target):
                    self.assertTrue((path.parent / target.partition("?")[0]).is_file())

    def test_the_tour_is_a_page_with_its_pictures(self):
        pictures = [target for target in self.page("tour.html").loaded if target.endswith(".png")]
        self.assertEqual(4, len(pictures))


@pytest.mark.slow
class RunningTheTourTest(unittest.TestCase):
    def test_runs_and_comes_to_what_it_says(self):
        from tests.tour import executed  # needs docs/requirements-tour.txt, which make test-slow installs

        figures = {
            "validation": "history['val_accuracy'][-1]",
            "micro_batch_difference": "float(micro_batch_difference)",
            "last_losses": "{name: float(steps['loss'].iloc[-1]) for name, steps in curves.items()}",
            "norms": "{name: float(norm) for name, norm in norms.items()}",
            "errors": "equal_passes['test error (%)'].to_dict()",
            "updates": "equal_passes['updates'].to_dict()",
            "along": "{str(rate): list(map(float, values)) for rate, values in along.items()}",
            "run": "float(run.history['accuracy'].iloc[-1])",
        }
        asked = ", ".join(f"{name!r}: {value}" for name, value in figures.items())
        notebook = executed(f"import json\nprint(json.dumps({{{asked}}}))")
        found = json.loads(notebook.cells[-1].outputs[0]["text"])
        self.assertBetween(0.93, found["validation"], 0.99)
        self.assertBetween(0, found["micro_batch_difference"], 1e-5)
        self.assertGreater(found["last_losses"]["rate 1"], 1)
        self.assertLess(found["last_losses"]["rate 1, clipped"], found["last_losses"]["rate 0.1"])
        self.assertLess(found["norms"]["strength 2"], 0.8 * found["norms"]["no penalty"])
        self.assertEqual([1920, 60, 60, 60], list(found["updates"].values()))
        sgd, plain, clipped, _ = found["errors"].values()
        self.assertGreater(plain, clipped)
        self.assertBetween(sgd - 2, clipped, sgd + 2)
        self.assertLess(max(found["along"]["0.1"]), 20)
        for rate in ("0.2", "0.4"):
            edge = 2 / float(rate)
            self.assertGreater(max(found["along"][rate]), edge)
            for value in found["along"][rate][-8:]:
                self.assertBetween(0.75 * edge, value, 1.25 * edge)
        self.assertGreater(found["run"], 0.97)

    def assertBetween(self, least, value, most):  # noqa: N802, as unittest's
        self.assertTrue(least <= value <= most, f"{value} is not in [{least}, {most}]")


if __name__ == "__main__":
    unittest.main()
