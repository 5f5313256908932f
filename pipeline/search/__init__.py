"""What decides which numbers are made: the space, the sampler, the engine and its executors."""
