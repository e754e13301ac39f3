"""The Triton engine: fused linear layers and activations on NVIDIA GPUs."""
