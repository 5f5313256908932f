"""Tests of `pipeline.search.executors`."""
