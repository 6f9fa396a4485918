"""Conformance of stock Keras layers: every layer x penalty x dtype policy is right, or refused in one line."""
