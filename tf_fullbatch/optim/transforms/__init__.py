"""Transforms of the gradient and of the update, as settings name them; the mathematics is in `core.transforms`."""
