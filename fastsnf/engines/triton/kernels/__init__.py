"""Device code in Triton: one file a family of kernels, importable only where triton is."""
