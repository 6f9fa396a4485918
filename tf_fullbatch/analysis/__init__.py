"""Curvature and statistics of the whole set, asked of an objective.

Every function takes a `core.objective.Objective` (`FullBatchModel.objective`, `OpenedRun.objective`), spends gradient
evaluations that the objective counts, and assigns nothing.
"""
