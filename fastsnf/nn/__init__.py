"""Fields as ordinary `torch.nn` modules: parameters live here and nowhere lower.

`SNF` is the field, `Siren` the original module's interface on it, `accelerate` takes over the parameters of a
network that already exists, and `init` holds the initializers. `MFN`, `Wire2d`, `NormalizedField` and
`FourierReparameterized` are published fields of other constructions.
"""

from fastsnf.nn import init
from fastsnf.nn.accelerate import Accelerated, accelerate
from fastsnf.nn.encoder import Encoder
from fastsnf.nn.field import FIELDS, Field, from_config
from fastsnf.nn.fr import FourierReparameterized
from fastsnf.nn.layer import Layer
from fastsnf.nn.layered import LayeredField
from fastsnf.nn.make import make_field
from fastsnf.nn.mfn import MFN
from fastsnf.nn.normalized import NormalizedField
from fastsnf.nn.siren import Siren
from fastsnf.nn.snf import SNF
from fastsnf.nn.wire2d import Wire2d

__all__ = [
    "FIELDS",
    "MFN",
    "SNF",
    "Accelerated",
    "Encoder",
    "Field",
    "FourierReparameterized",
    "Layer",
    "LayeredField",
    "NormalizedField",
    "Siren",
    "Wire2d",
    "accelerate",
    "from_config",
    "init",
    "make_field",
]
