"""Tests of `pipeline.records.mirror`."""
