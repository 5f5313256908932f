"""The test suite; it mirrors pipeline/."""
