"""tf_fullbatch: train neural networks on the exact gradient of the whole training set, in TensorFlow/Keras."""
