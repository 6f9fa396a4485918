"""Training: the full-batch Keras model, its callbacks and checkpoints."""
