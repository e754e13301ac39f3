"""Benchmarks of the Triton engine on an NVIDIA GPU: `make gpu` and `make gpu-full` run them."""
