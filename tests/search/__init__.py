"""Tests of `pipeline.search`."""
