"""Tests of `pipeline.studies`."""
