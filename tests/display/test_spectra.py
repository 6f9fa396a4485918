"""Pictures of spectra and of estimates: what is drawn is what was given."""

import math
import unittest

import numpy as np

from tf_fullbatch.display.estimates import Row, draw_estimates
from tf_fullbatch.display.spectra import Spectrum, draw_spectra


class SpectraTest(unittest.TestCase):
    def test_density_and_eigenvalues_of_each_matrix(self):
        grid = np.linspace(-1, 3, 50)
        spectra = {
            "Hessian": Spectrum(np.array([2.5, 2.0, -0.5]), grid, np.exp(-(grid**2))),
            "Gauss-Newton matrix": Spectrum(np.array([2.25])),
        }
        figure = draw_spectra(spectra, "A title")
        self.assertEqual(figure.get_suptitle(), "A title")
        for panel, (name, spectrum) in zip(figure.axes, spectra.items(), strict=True):
            self.assertEqual(panel.get_title(loc="left"), name)
            (marks,) = panel.collections
            self.assertEqual([path[0, 0] for path in marks.get_segments()], spectrum.eigenvalues.tolist())
            low, high = panel.get_xlim()
            self.assertTrue((low <= spectrum.eigenvalues).all() and (spectrum.eigenvalues <= high).all())
        drawn = next(line for line in figure.axes[0].lines if line.get_label() == "density")
        np.testing.assert_array_equal(drawn.get_ydata(), np.exp(-(grid**2)))
        self.assertEqual(figure.axes[0].get_yscale(), "log")
        figure.canvas.draw()

    def test_estimates_have_bars_of_two_standard_errors(self):
        rows = [Row("trace\nhessian", 3.0, 0.5), Row("trace\nggn", 2.0, math.nan), Row("top", -1.0)]
        figure = draw_estimates(rows)
        (panel,) = figure.axes
        (bars,) = panel.collections
        ends = [segment[:, 0].tolist() for segment in bars.get_segments()]
        self.assertEqual(ends, [[2, 4], [2, 2], [-1, -1]])
        self.assertEqual([tick.get_text() for tick in panel.get_yticklabels()], [row.label for row in rows])
        self.assertEqual([text.get_text() for text in panel.texts], ["3 ± 0.5", "2", "-1"])
        figure.canvas.draw()


if __name__ == "__main__":
    unittest.main()
