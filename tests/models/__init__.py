"""Tests of `pipeline.models`."""
