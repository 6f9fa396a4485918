"""Recurrent layers and wrappers around layers."""

import keras
from keras import layers as L

from tests.layers.case import Case, normal
from tests.layers.cases.networks import head, row

_LOOP = {"forward_over_reverse": "loop"}


def _masked() -> keras.Model:
    inputs = keras.Input((4, 2))
    x = L.Dense(2, activation="tanh")(L.Masking()(inputs))
    return keras.Model(inputs, head(L.SimpleRNN(3)(x)))


def _masked_data(generator):
    x = normal(4, 2)(generator)
    x[:, 3], x[2, 2] = 0, 0
    return x


CASES = [
    row("SimpleRNN", lambda: L.SimpleRNN(3), 4, 2, refused=_LOOP),
    row("SimpleRNN (unrolled)", lambda: L.SimpleRNN(3, unroll=True), 3, 2),
    row("LSTM", lambda: L.LSTM(3), 4, 2, refused=_LOOP),
    row("LSTM (unrolled)", lambda: L.LSTM(3, unroll=True), 3, 2),
    row(
        "LSTM (dropout)",
        lambda: L.LSTM(3, dropout=0.3, recurrent_dropout=0.3),
        4,
        2,
        refused=_LOOP,
        noisy=True,
    ),
    row("GRU", lambda: L.GRU(3, return_sequences=True), 4, 2, refused=_LOOP),
    row("GRU (unrolled)", lambda: L.GRU(3, unroll=True), 3, 2),
    row("GRU (reset before)", lambda: L.GRU(3, reset_after=False, go_backwards=True), 4, 2, refused=_LOOP),
    row("RNN", lambda: L.RNN(L.SimpleRNNCell(3)), 4, 2, refused=_LOOP),
    row(
        "StackedRNNCells",
        lambda: L.RNN(L.StackedRNNCells([L.LSTMCell(2), L.GRUCell(3)])),
        4,
        2,
        refused=_LOOP,
    ),
    row("ConvLSTM1D", lambda: L.ConvLSTM1D(2, 2), 3, 3, 2, refused=_LOOP),
    row("ConvLSTM2D", lambda: L.ConvLSTM2D(2, 2), 2, 3, 3, 2, refused=_LOOP),
    row("ConvLSTM3D", lambda: L.ConvLSTM3D(1, 2), 2, 2, 2, 2, 2, refused=_LOOP),
    row("Bidirectional", lambda: L.Bidirectional(L.LSTM(2)), 4, 2, refused=_LOOP),
    row("TimeDistributed", lambda: L.TimeDistributed(L.Dense(3, activation="tanh")), 4, 2),
    Case(name="Masking", build=_masked, data=_masked_data, refused=_LOOP),
]
