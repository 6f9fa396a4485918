"""Tests of tf_fullbatch.config."""
