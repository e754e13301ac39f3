"""Which points make a batch: samplers that keep nothing between steps (batch = f(seed, step))."""
