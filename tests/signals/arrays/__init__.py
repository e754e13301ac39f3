"""Tests of fastsnf.signals.arrays."""
