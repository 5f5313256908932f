"""The commands beside the stages, one module each, of the same name."""
