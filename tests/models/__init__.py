"""Tests of tf_fullbatch.models."""
