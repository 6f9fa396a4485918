"""The cost model of clusters: formulas by hand, limits, and simulations beside closed forms."""
