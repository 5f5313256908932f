"""Tests of pipeline/tuning/executors."""
