"""Loggers beside TensorBoard: services that keep the figures of many runs."""
