"""The version of fastsnf, in this one place: the build, the checkpoints and `fastsnf info` read it here."""

__version__ = "0.1.0"
