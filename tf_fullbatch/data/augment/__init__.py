"""Random changes to training images, one file per family."""
