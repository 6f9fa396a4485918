"""The mathematics: the objective of an update batch, passes over it, what is done to its gradient. No files."""
