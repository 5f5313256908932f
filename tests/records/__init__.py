"""Tests of `pipeline.records`."""
