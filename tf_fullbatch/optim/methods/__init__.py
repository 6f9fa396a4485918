"""Settings of the optimizers, from flags; importing them imports no TensorFlow."""
