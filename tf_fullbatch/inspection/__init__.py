"""Questions about trained weights: runs, opened at their checkpoints, and what is computed, drawn and kept of them."""
