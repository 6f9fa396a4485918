"""What a step would take on a cluster: a cost model, and simulations that check it. No TensorFlow."""
