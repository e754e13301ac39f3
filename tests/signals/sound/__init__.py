"""Tests of fastsnf.signals.sound."""
