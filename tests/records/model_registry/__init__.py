"""Tests of `pipeline.records.model_registry`."""
