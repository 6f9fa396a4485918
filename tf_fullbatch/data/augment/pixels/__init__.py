"""Operations on batches of images of whole levels, in TensorFlow: what is done to each image is given, not drawn."""
