"""Tests of pipeline/tuning."""
