# SPDX-License-Identifier: MIT
"""Makes the safetensors files of tests/io/data with the reference implementation: what the reader must understand.

    python3 tests/io/data/make.py      # needs numpy, torch, safetensors
"""
import pathlib

import torch
from safetensors.torch import save_file

folder = pathlib.Path(__file__).parent
types = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "U16": torch.uint16, "I16": torch.int16, "F16": torch.float16,
    "BF16": torch.bfloat16, "U32": torch.uint32, "I32": torch.int32, "F32": torch.float32, "U64": torch.uint64,
    "I64": torch.int64, "F64": torch.float64,
}  # fmt: skip

# Every type, as numbers 0 .. 5 of shape (2, 3); signed ones minus 3; bool is i % 2; floats a quarter of that.
tensors = {}
for name, t in types.items():
    i = torch.arange(6).reshape(2, 3)
    signed = name[0] in "IFB" and name != "BOOL"
    value = i % 2 if name == "BOOL" else (i - 3 if signed else i)
    tensors[name] = (value.to(torch.float64) / 4).to(t) if "F" in name else value.to(t)

# Every rank, and the empty shapes.
tensors["rank0"] = torch.tensor(7.5)
tensors["rank1"] = torch.arange(4, dtype=torch.float32)
tensors["rank3"] = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
tensors["no_rows"] = torch.zeros(0, 5)
tensors["no_columns"] = torch.zeros(5, 0)

# The ends of the ranges.
tensors["ends.F16"] = torch.tensor([65504.0, 2.0**-24, 2.0**-14, -float("inf"), float("nan")], dtype=torch.float16)
tensors["ends.BF16"] = torch.tensor([3.3895313892515355e38, 2.0**-133, -float("inf"), float("nan")], dtype=torch.bfloat16)
tensors["ends.I64"] = torch.tensor([-(2**63), -1, 2**63 - 1])
tensors["ends.F64"] = torch.tensor([1 / 3, 1e300, -5e-324], dtype=torch.float64)

metadata = {"plain": "text", "quotes \" and \\": "lines\nand\ttabs", "unicode é 中": "𝄞", "": ""}
save_file(tensors, folder / "reference.safetensors", metadata)
