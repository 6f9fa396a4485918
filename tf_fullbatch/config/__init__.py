"""What a run is told to do: frozen dataclasses with documented, checked fields. Imports neither absl nor TensorFlow."""
