"""Tests of `pipeline.features`."""
