"""Compile sine's kernel for sm_90 in both tiers: ``tier stack local instruction ...``, a line for each."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "0"

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tests.engines.triton.device_functions import activation_kernel

FLOATS = dict.fromkeys(("omega", "turn", "turn_low", "scale"), "fp32")
TYPES = {"x": "*fp32", "stored": "*i16", "y": "*fp32", "dy": "*fp32", "n": "i32", **FLOATS}


def main() -> None:
    """Print a line for each tier."""
    names = activation_kernel.arg_names
    for tier in ("exact", "accurate"):
        constants = {"ACT": "sine", "FORMAT": "phase16", "TIER": tier, "BLOCK": 1024}
        source = ASTSource(
            activation_kernel,
            {name: TYPES.get(name, "constexpr") for name in names},
            constexprs={(names.index(name),): value for name, value in constants.items()},
            attrs={},
        )
        compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4})
        resources, listing = inspect(compiled.asm["cubin"])
        stack, local = re.search(r"STACK:(\d+).*LOCAL:(\d+)", resources).groups()
        found = re.findall(r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\d\s+)?([A-Z0-9_.]+)", listing, re.MULTILINE)
        print(tier, stack, local, *sorted(set(found)))


def inspect(binary: bytes) -> tuple[str, str]:
    """Return what cuobjdump, which comes with Triton, says of resources and instructions."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        say = [
            subprocess.run([tool, option, file.name], capture_output=True, text=True, check=True).stdout
            for option in ("--dump-resource-usage", "-sass")
        ]
    return say[0], say[1]


if __name__ == "__main__":
    main()
