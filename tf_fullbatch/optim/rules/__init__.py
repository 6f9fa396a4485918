"""Optimizers as Keras has them: what moves the weights, and the state that it keeps."""
