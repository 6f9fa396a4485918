"""What a run shows: progress line, TensorBoard, curves, tables."""
