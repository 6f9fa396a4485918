"""The comparison of finished runs: tables, plots, a page. Imports no TensorFlow."""
