#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Converts a GPT-2 or a Llama of Hugging Face's transformers to a formwork file, and back.

    python3 examples/convert_huggingface.py gpt2/ gpt2.formwork.safetensors
    build/release/examples/09_huggingface gpt2.formwork.safetensors --tokens 464 3290 318 --count 20
    python3 examples/convert_huggingface.py --reverse gpt2.formwork.safetensors model.safetensors

The source is a folder with config.json and model*.safetensors, or one .safetensors file, whose config.json is looked for
beside it; without one, sizes come from the tensors' shapes and the options. fw::load_model loads the result into the types
gpt2 and llama of examples/09_huggingface.cpp. What changes on the way:

- weights are (in x out): Llama's (out x in) are transposed, GPT-2's are as they are;
- GPT-2's attn.c_attn is cut into query, key and value;
- a head that is the embedding's table is left out; so are tables that the model computes (attn.bias, rotary_emb.inv_freq);
- rotary pairs of columns are (i, i + d/2) on both sides, which is fw::rope<>: no column moves.

--reverse gives every tensor its bytes again: names and number types are remembered in the file's metadata. A file that
formwork saved itself has no such memory and gets the names that transformers saves.

Needs Python 3.9 and numpy. Big models pass through one tensor at a time. Bad input: one line, exit code 2, nothing written.
"""
import argparse
import json
import math
import os
import pathlib
import re
import sys
from typing import Callable, NamedTuple

import numpy as np

numpy_types = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}  # numpy has no bfloat16: its bits


class Refused(Exception):
    """What is wrong with the input, in one line."""


# ---------------------------------------------------------------------------------------------------- tensors and files


class Tensor(NamedTuple):
    dtype: str
    shape: tuple
    numbers: Callable  # () -> float32, float64 or float16 array, exact

    @classmethod
    def of(cls, array):
        names = {"f8": "F64", "f4": "F32", "f2": "F16"}
        return cls(names[array.dtype.str[1:]], array.shape, lambda: array)


def from_bits(stored, dtype):
    return (stored.astype("<u4") << 16).view("<f4") if dtype == "BF16" else stored


def to_bits(x, dtype):
    """Rounded to the nearest, ties to even; exact where the numbers are of that type."""
    with np.errstate(over="ignore"):
        if dtype != "BF16":
            return np.ascontiguousarray(x, numpy_types[dtype])
        bits = np.ascontiguousarray(x, "<f4").view("<u4")
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(x), bits >> 16 | 0x40, rounded).astype("<u2")


def bytes_of(dtype, shape):
    return math.prod(shape) * np.dtype(numpy_types[dtype]).itemsize


def shape_text(shape):
    return "(" + " x ".join(str(n) for n in shape) + ")"


def read_file(path):
    """The tensors of a safetensors file by name, none of them read yet, and its metadata."""
    try:
        with open(path, "rb") as file:
            size, length = os.fstat(file.fileno()).st_size, int.from_bytes(file.read(8), "little")
            if size < 10 or length > size - 8:
                raise Refused(f"{path}: is no safetensors file, or was cut short")
            header = json.loads(file.read(length))
        data = np.memmap(path, np.uint8, "r", offset=8 + length) if size > 8 + length else np.zeros(0, np.uint8)
        metadata, tensors = dict(header.pop("__metadata__", {})), {}
        for name, entry in header.items():
            dtype, shape, (begin, end) = str(entry["dtype"]), tuple(entry["shape"]), entry["data_offsets"]
            if not 0 <= begin <= end <= len(data):
                raise Refused(f'{path}: was cut short: tensor "{name}" ends at byte {end} of {len(data)}')
            if not all(isinstance(n, int) and n >= 0 for n in shape):
                raise Refused(f'{path}: tensor "{name}" is {shape_text(shape)}; needs whole numbers')
            if dtype in numpy_types and end - begin != bytes_of(dtype, shape):
                raise Refused(f'{path}: tensor "{name}" has {end - begin} bytes, which is not {dtype} {shape_text(shape)}')

            def numbers(raw=data[begin:end], dtype=dtype, shape=shape):
                return from_bits(raw.view(numpy_types[dtype]).reshape(shape), dtype)

            tensors[name] = Tensor(dtype, shape, numbers)
    except OSError as e:
        raise Refused(f"{path}: {e.strerror}") from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise Refused(f"{path}: is no safetensors file: its header cannot be read") from e
    return tensors, metadata


def read_source(path):
    """The tensors of a folder's model*.safetensors or of one file, metadata, and config.json or {}."""
    files = sorted(path.glob("model*.safetensors")) if path.is_dir() else [path]
    if not files:
        raise Refused(f"{path}: has no model*.safetensors")
    tensors, metadata = {}, {}
    for file in files:
        more, metadata = read_file(file)
        for name in more.keys() & tensors.keys():
            raise Refused(f'{file}: has a tensor "{name}" that another file of the folder has too')
        tensors |= more
    beside = (path if path.is_dir() else path.parent) / "config.json"
    try:
        config = dict(json.loads(beside.read_text())) if beside.exists() else {}
    except (OSError, ValueError, TypeError) as e:
        raise Refused(f"{beside}: cannot be read as a JSON object") from e
    return tensors, metadata, config


def write_file(path, tensors, metadata):
    """Atomically; wide types first, then by name. tensors are (name, type to write, Tensor)."""
    ordered = sorted(tensors, key=lambda one: (-bytes_of(one[1], ()), one[0]))
    header, end = {"__metadata__": metadata} if metadata else {}, 0
    for name, dtype, tensor in ordered:
        begin, end = end, end + bytes_of(dtype, tensor.shape)
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    try:
        if path.is_dir():
            raise Refused(f"{path}: is a folder; needs the name of a file to write")
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            with open(temporary, "wb") as file:
                file.write(len(text).to_bytes(8, "little") + text)
                for name, dtype, tensor in ordered:
                    file.write(to_bits(tensor.numbers(), dtype).data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as e:
        raise Refused(f"{path}: cannot be written: {e.strerror}") from e


# ---------------------------------------------------------------------------------------------------- the architectures


class Rule(NamedTuple):
    theirs: str          # {} is the layer
    ours: tuple          # several lie side by side in the columns of theirs
    sizes: tuple         # of each of ours: (in, out), or the length of a vector
    turned: bool = False # theirs is (out x in)

    def placed(self, prefix, layer=None):
        return self._replace(theirs=prefix + self.theirs.format(layer), ours=tuple(name.format(layer) for name in self.ours))

    def shape_of_theirs(self, shape):
        wide = (*shape[:-1], shape[-1] * len(self.ours))
        return wide[::-1] if self.turned else wide

    def to_ours(self, tensor):
        """The tensors of ours in the one of theirs."""
        shape = tensor.shape[::-1] if self.turned else tensor.shape
        each = shape[-1] // len(self.ours)

        def part(i):
            whole = tensor.numbers().T if self.turned else tensor.numbers()
            return whole[..., i * each : (i + 1) * each]

        return [Tensor(tensor.dtype, (*shape[:-1], each), lambda i=i: part(i)) for i in range(len(self.ours))]

    def to_theirs(self, tensors):
        def whole():
            joined = np.concatenate([one.numbers() for one in tensors], axis=-1)
            return joined.T if self.turned else joined

        return Tensor(tensors[0].dtype, self.shape_of_theirs(tensors[0].shape), whole)


def linear(theirs, ours, inside, outside, turned, bias):
    several = (ours,) if isinstance(ours, str) else ours
    rules = [Rule(theirs + ".weight", tuple(one + ".weight" for one in several), (inside, outside), turned)]
    return rules + ([Rule(theirs + ".bias", tuple(one + ".bias" for one in several), (outside,))] if bias else [])


def norm(theirs, ours, bias):
    rules = [Rule(theirs + ".weight", (ours + ".gain",), ("width",))]
    return rules + ([Rule(theirs + ".bias", (ours + ".bias",), ("width",))] if bias else [])


class Architecture(NamedTuple):
    prefix: str        # of all but the head; a file may do without
    mark: str          # one of our names that no other architecture has
    layer: str         # what a layer's names begin with
    once: list         # rules of what is there once; the first is the embedding
    each: list         # and in every layer
    sizes: dict        # our sizes: config.json's names of them
    needs: dict        # config.json's other mechanisms: what they have to be where they are said
    activations: dict  # config.json's name of the activation: the ones there may be, by our names
    activation: str


def gpt2_layer():
    layer, ours = "h.{}.", "layers.{}."
    projections = tuple(ours + "mixer." + name for name in ("query", "key", "value"))
    return (norm(layer + "ln_1", ours + "norm1", True)
            + linear(layer + "attn.c_attn", projections, "width", "width", False, True)
            + linear(layer + "attn.c_proj", ours + "mixer.output", "width", "width", False, True)
            + norm(layer + "ln_2", ours + "norm2", True)
            + linear(layer + "mlp.c_fc", ours + "feedforward.up", "width", "hidden", False, True)
            + linear(layer + "mlp.c_proj", ours + "feedforward.down", "hidden", "width", False, True))


def llama_layer():
    layer, ours = "layers.{}.", "layers.{}."
    attention, mixer = layer + "self_attn.", ours + "mixer."
    mlp, feedforward = layer + "mlp.", ours + "feedforward."
    return (norm(layer + "input_layernorm", ours + "norm1", False)
            + linear(attention + "q_proj", mixer + "query", "width", "queries", True, False)
            + linear(attention + "k_proj", mixer + "key", "width", "keys", True, False)
            + linear(attention + "v_proj", mixer + "value", "width", "keys", True, False)
            + linear(attention + "o_proj", mixer + "output", "queries", "width", True, False)
            + norm(layer + "post_attention_layernorm", ours + "norm2", False)
            + linear(mlp + "gate_proj", feedforward + "gate", "width", "hidden", True, False)
            + linear(mlp + "up_proj", feedforward + "up", "width", "hidden", True, False)
            + linear(mlp + "down_proj", feedforward + "down", "hidden", "width", True, False))


architectures = {
    "gpt2": Architecture(
        prefix="transformer.", mark="position.table", layer="h.",
        once=[Rule("wte.weight", ("embedding.table",), ("vocab", "width")),
              Rule("wpe.weight", ("position.table",), ("positions", "width"))] + norm("ln_f", "norm", True),
        each=gpt2_layer(),
        sizes={"vocab": "vocab_size", "width": "n_embd", "depth": "n_layer", "heads": "n_head", "hidden": "n_inner",
               "positions": "n_positions", "epsilon": "layer_norm_epsilon"},
        needs={"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False},
        activations={"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu"},
        activation="activation_function"),
    "llama": Architecture(
        prefix="model.", mark="layers.0.feedforward.gate.weight", layer="layers.",
        once=[Rule("embed_tokens.weight", ("embedding.table",), ("vocab", "width"))] + norm("norm", "norm", False),
        each=llama_layer(),
        sizes={"vocab": "vocab_size", "width": "hidden_size", "depth": "num_hidden_layers", "heads": "num_attention_heads",
               "key_heads": "num_key_value_heads", "key_width": "head_dim", "hidden": "intermediate_size",
               "epsilon": "rms_norm_eps", "base": "rope_theta"},
        needs={"attention_bias": False, "mlp_bias": False, "rope_scaling": None},
        activations={"silu": "silu"},
        activation="hidden_act"),
}
head = Rule("lm_head.weight", ("head.weight",), ("width", "vocab"), True)
computed = re.compile(r"\.attn\.(masked_)?bias$|\.rotary_emb\.inv_freq$")


def rules_of(kind, prefix, depth, own_head):
    yield from (rule.placed(prefix) for rule in kind.once)
    yield from (rule.placed(prefix, i) for i in range(depth) for rule in kind.each)
    yield from [head] if own_head else []


def depth_of(names, beginning):
    layers = [int(m[1]) for m in (re.match(re.escape(beginning) + r"(\d+)\.", name) for name in names) if m]
    return max(layers, default=-1) + 1


# ---------------------------------------------------------------------------------------------------- the two directions


def settings_of(name, kind, config, options):
    """Sizes and numbers as far as they are said; the activation by our name."""
    said = dict(config)
    rotary = said.pop("rope_parameters", None) or said.get("rope_scaling")  # the new name and the old
    if isinstance(rotary, dict):
        said["rope_theta"] = rotary.get("rope_theta", said.get("rope_theta"))
        said["rope_scaling"] = None if rotary.get("rope_type") == "default" else rotary
    if said.get("model_type", name) != name:
        raise Refused(f"config.json: model_type is {said['model_type']}; needs {name}, as the tensors are named")
    for key, needed in kind.needs.items():
        if key in said and said[key] != needed:
            raise Refused(f"config.json: {key} is {json.dumps(said[key])}; needs {json.dumps(needed)}")
    activation = str(said.get(kind.activation) or next(iter(kind.activations)))
    if activation not in kind.activations:
        raise Refused(f"config.json: {kind.activation} is {activation}; needs {' or '.join(kind.activations)}")
    settings = {ours: said[theirs] for ours, theirs in kind.sizes.items() if said.get(theirs) is not None}
    settings |= {ours: value for ours, value in options.items() if value is not None and ours in kind.sizes}
    for size, value in settings.items():
        whole = size not in ("epsilon", "base")
        if not isinstance(value, int if whole else (int, float)) or not value > 0:
            raise Refused(f"{kind.sizes[size]} is {json.dumps(value)}; needs a {'whole ' if whole else ''}number above 0")
    if "heads" in settings and "width" in settings:
        each = settings.get("key_width", settings["width"] // settings["heads"])
        settings["queries"] = settings["heads"] * each
        settings["keys"] = settings.get("key_heads", settings["heads"]) * each
    return settings, kind.activations[activation]


def measure(where, rule, tensor, sizes):
    """Reads from a tensor's shape the sizes that are not known yet; refuses one that does not fit those that are."""
    if tensor.dtype not in numpy_types:
        raise Refused(f'{where}: tensor "{rule.theirs}" is {tensor.dtype}; needs F64, F32, F16 or BF16')
    shape = tensor.shape[::-1] if rule.turned else tensor.shape
    if len(shape) == len(rule.sizes):
        for size, n in zip(rule.sizes, (*shape[:-1], shape[-1] // len(rule.ours))):
            sizes.setdefault(size, n)
    needed = tuple(sizes.get(size, size) for size in rule.sizes)
    if len(shape) != len(needed) or tensor.shape != rule.shape_of_theirs(needed):
        expected = shape_text(rule.shape_of_theirs(needed)) if all(isinstance(n, int) for n in needed) else "another rank"
        raise Refused(f'{where}: tensor "{rule.theirs}" is {shape_text(tensor.shape)}; needs {expected}')


def complete(where, settings):
    """The sizes that follow from others, checked."""
    s = settings
    if "heads" not in s:
        raise Refused(f"{where}: there is no config.json that says how many heads there are; needs --heads")
    queries = s.pop("queries", s["width"])
    keys = s.pop("keys", queries)
    s.setdefault("key_width", queries // s["heads"])
    s.setdefault("key_heads", keys // max(s["key_width"], 1))
    for what, columns, heads in (("queries", queries, s["heads"]), ("keys", keys, s["key_heads"])):
        if columns != heads * s["key_width"]:
            raise Refused(f"{where}: {what} have {columns} columns, which {heads} heads of {s['key_width']} do not fill")


def to_formwork(where, theirs, config, options):
    """Our tensors by name, as [(name, Tensor)], what to say about them, and the names and types of theirs."""
    theirs = {name: tensor for name, tensor in theirs.items() if not computed.search(name)}
    for name, kind in architectures.items():
        first = kind.once[0].theirs
        prefix = kind.prefix if kind.prefix + first in theirs else ""
        if prefix + first in theirs:
            break
    else:
        needed = " or ".join(kind.prefix + kind.once[0].theirs for kind in architectures.values())
        raise Refused(f"{where}: has no embedding of a GPT-2 or a Llama; needs a tensor {needed}")
    settings, activation = settings_of(name, kind, config, options)
    settings.setdefault("depth", depth_of(theirs, prefix + kind.layer))

    table, own = theirs[prefix + first], theirs.get(head.theirs)
    says_own = config.get("tie_word_embeddings", True) is False
    alike = own is not None and own[:2] == table[:2] and own.dtype in numpy_types
    same = alike and np.array_equal(own.numbers(), table.numbers())
    own_head = says_own or (own is not None and not same)
    ours = []
    for rule in rules_of(kind, prefix, settings["depth"], own_head):
        if rule.theirs not in theirs:
            raise Refused(f'{where}: has no tensor "{rule.theirs}"; a {name} of {settings["depth"]} layers needs it')
        measure(where, rule, theirs[rule.theirs], settings)
        ours += zip(rule.ours, rule.to_ours(theirs[rule.theirs]))
    used = {rule.theirs for rule in rules_of(kind, prefix, settings["depth"], True)}
    for extra in sorted(theirs.keys() - used):
        raise Refused(f'{where}: has a tensor "{extra}" that a {name} of {settings["depth"]} layers has no place for')
    complete(where, settings)
    settings = {"architecture": name, "activation": activation, "head": "own" if own_head else "tied"} | settings
    settings.setdefault("epsilon", {"gpt2": 1e-5, "llama": 1e-6}[name])
    settings |= {} if name == "gpt2" else {"base": settings.get("base", 10000.0)}
    return ours, settings, {name: tensor.dtype for name, tensor in theirs.items()}


def to_huggingface(where, ours, remembered):
    """Their tensors, as [(name, type to write, Tensor)]."""
    ours = {name: tensor for name, tensor in ours.items() if not name.startswith("formwork.")}
    found = [name for name, kind in architectures.items() if kind.mark in ours]
    if not found:
        marks = " or ".join(kind.mark for kind in architectures.values())
        raise Refused(f"{where}: is no GPT-2 or Llama of formwork; needs a tensor {marks}")
    name, kind = found[0], architectures[found[0]]
    prefix = kind.prefix if not remembered or kind.prefix + kind.once[0].theirs in remembered else ""
    depth, sizes, theirs, used = depth_of(ours, "layers."), {}, [], set()
    for rule in rules_of(kind, prefix, depth, head.ours[0] in ours):
        for one in rule.ours:
            if one not in ours:
                raise Refused(f'{where}: has no tensor "{one}"; a {name} of {depth} layers needs it')
            measure(where, Rule(one, (one,), rule.sizes), ours[one], sizes)
        used |= set(rule.ours)
        tensor = rule.to_theirs([ours[one] for one in rule.ours])
        theirs.append((rule.theirs, remembered.get(rule.theirs, tensor.dtype), tensor))
    if head.theirs in remembered and head.ours[0] not in ours:
        theirs.append((head.theirs, remembered[head.theirs], ours["embedding.table"]))
    for extra in sorted(ours.keys() - used):
        raise Refused(f'{where}: has a tensor "{extra}" that a {name} of {depth} layers has no place for')
    return theirs


def convert(call):
    source, target = pathlib.Path(call.source), pathlib.Path(call.target)
    tensors, metadata, config = read_source(source)
    dtype = call.dtype and call.dtype.upper()
    if call.reverse:
        try:
            remembered = dict(json.loads(metadata.get("huggingface.tensors", "{}")))
            remembered = {name: dtype for name, dtype in remembered.items() if numpy_types[dtype]}
        except (ValueError, TypeError, KeyError) as e:
            raise Refused(f"{source}: its metadata huggingface.tensors are no names and types") from e
        theirs = to_huggingface(source, tensors, remembered)
        write_file(target, [(name, dtype or own, tensor) for name, own, tensor in theirs], {"format": "pt"})
        return f"{target}: {len(theirs)} tensors"
    options = {"heads": call.heads, "epsilon": call.epsilon, "base": call.rope_base}
    ours, settings, remembered = to_formwork(source, tensors, config, options)
    metadata = {"model." + key: str(value) for key, value in settings.items()}
    metadata["huggingface.tensors"] = json.dumps(remembered, separators=(",", ":"))
    write_file(target, [(name, dtype or "F32", tensor) for name, tensor in ours], metadata)
    shown = ("vocab", "width", "depth", "heads", "key_heads", "hidden")
    return f"{target}: a {settings['architecture']}, " + ", ".join(f"{key} {settings[key]}" for key in shown)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a folder or a .safetensors file")
    parser.add_argument("target", help="the .safetensors file to write")
    parser.add_argument("--reverse", action="store_true", help="from formwork to Hugging Face's names")
    parser.add_argument("--dtype", choices=["f64", "f32", "f16", "bf16"],
                        help="of the numbers written; default: f32, and with --reverse what they once were")
    parser.add_argument("--heads", type=int, help="in the place of config.json's")
    parser.add_argument("--epsilon", type=float, help="of the norms, in the place of config.json's")
    parser.add_argument("--rope-base", type=float, help="of a Llama, in the place of config.json's")
    try:
        print(convert(parser.parse_args()))
    except Refused as e:
        print(f"{parser.prog}: {' '.join(str(e).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
