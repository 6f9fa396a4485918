"""Random changes to training images, one file a family."""
