"""Augmentations that may stand in a list, `--augmentation=crop4,flip,cutout8`: their options, and what they draw."""
