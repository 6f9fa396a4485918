"""Learning rates as functions of the epoch, in plain Python: one file a schedule."""
