"""Data: sources, splits, stateless augmentation and the pipeline of update batches."""
