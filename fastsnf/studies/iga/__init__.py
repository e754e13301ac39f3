"""The experiments of "Inductive Gradient Adjustment for Spectral Bias in Implicit Neural Representations".

Settings follow the released code where it says more than the paper, and each study says which.
"""
