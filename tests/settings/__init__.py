"""Tests of tf_fullbatch.settings."""
