"""The weight-scaling paper's figures (Yeom et al. 2025), run again.

Source: T. Yeom, S. Lee, J. Lee, "Fast Training of Sinusoidal Neural Fields via Scaling Initialization",
ICLR 2025.
"""
