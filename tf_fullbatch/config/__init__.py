"""What a run is told to do: its configuration, composed of its components' settings, and its flags. No TensorFlow."""
