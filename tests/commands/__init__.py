"""Tests of pipeline/commands."""
