"""Tests of `pipeline.lectures`."""
