"""How it is trained: schedules, optimizers, batches, the loop."""
