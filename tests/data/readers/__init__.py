"""Tests of pipeline/data/readers."""
