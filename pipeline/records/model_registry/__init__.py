"""The registered models, and the one of them that is in use."""
