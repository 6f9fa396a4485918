"""Networks built by name from stock Keras layers."""
