"""Tests of `pipeline.trials`."""
