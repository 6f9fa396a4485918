"""Texts as tokens: a vocabulary of the training texts, and each text cut or filled to one length."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.errors import UserError

PADDING, UNKNOWN = 0, 1
"""The tokens of places beyond a text's end, and of words that the vocabulary lacks."""
_BATCH = 1024


def vectorised(
    texts: Mapping[str, Sequence[bytes]], vocabulary_size: int, length: int
) -> tuple[dict[str, np.ndarray], int]:
    """The tokens of each split's texts, by `keras.layers.TextVectorization`.

    In lower case and without punctuation, cut at white space; the most frequent words of "train" are numbered from 2 by
    falling frequency.

    Args:
        texts: Split -> texts in UTF-8; "train" among them.
        vocabulary_size: Most tokens, padding and the unknown word among them.
        length: Tokens per text: what is beyond is cut off, what lacks is padding.

    Returns:
        Split -> int32 `[texts, length]`; and how many tokens there are.

    Raises:
        UserError: No training text has a word.
    """
    layer = keras.layers.TextVectorization(max_tokens=vocabulary_size, output_sequence_length=length)
    with tf.device("CPU:0"):
        layer.adapt(tf.data.Dataset.from_tensor_slices(np.asarray(texts["train"], object)).batch(_BATCH))
        if layer.vocabulary_size() <= 2:
            raise UserError("its training texts have no words: give texts of words set apart by spaces.")
        found = {split: _tokens(layer, some, length) for split, some in texts.items()}
    return found, layer.vocabulary_size()


def _tokens(layer: keras.layers.TextVectorization, texts: Sequence[bytes], length: int) -> np.ndarray:
    tokens = np.empty((len(texts), length), np.int32)
    for start in range(0, len(texts), _BATCH):
        some = tf.constant(np.asarray(texts[start : start + _BATCH], object))
        tokens[start : start + _BATCH] = layer(some).numpy()
    return tokens
