"""Tests of `pipeline.bases`."""
