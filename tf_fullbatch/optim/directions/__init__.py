"""Directions of descent that are made from the gradients of several steps, on vectors of all parameters."""
