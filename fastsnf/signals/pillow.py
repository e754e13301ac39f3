"""Pillow, imported when a picture is read, resized or written."""

from __future__ import annotations

from typing import Any

from fastsnf.errors import InputError


def load_pillow() -> Any:
    """Return the module ``PIL.Image``; raise `InputError` with the remedy where Pillow is missing."""
    try:
        import PIL.Image
    except ImportError as cause:
        raise InputError(
            f"expected Pillow, which pictures need; got {cause}; install it with: pip install 'pillow>=12.3'"
        ) from cause
    return PIL.Image
