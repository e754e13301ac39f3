"""Tests of fastsnf.signals."""
