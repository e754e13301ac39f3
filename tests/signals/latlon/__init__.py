"""Tests of fastsnf.signals.latlon."""
