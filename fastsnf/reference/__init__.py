"""Executable mathematics in plain torch: what every engine is judged against. No dispatch, any floating dtype."""

from fastsnf.reference import activations, field

__all__ = ["activations", "field"]
