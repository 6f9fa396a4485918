"""Comparison of finished and unfinished runs, from their records alone; imports no TensorFlow."""
