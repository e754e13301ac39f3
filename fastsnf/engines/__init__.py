"""Device code and its loaders: no autograd, no policy, no fallback."""
