# SPDX-License-Identifier: MIT
"""What 09_huggingface.sh asks of safetensors files; read and written by hand, so that only numpy is needed.

    huggingface.py tokens GOLDEN             the golden batch's first sequence
    huggingface.py weights GOLDEN FILE       FILE has the golden initial.* and nothing else, bit for bit
    huggingface.py logits GOLDEN FILE TOKEN  FILE's logits are those of that sequence, to float's rounding, and TOKEN is the
                                             likeliest after it
    huggingface.py same A B                  the same tensors: names, types, shapes, bytes
    huggingface.py forget FROM TO            the tensors without the metadata
    huggingface.py vary FOLDER TO            a state with other habits; parameters.safetensors is what has to come back
    huggingface.py damage FOLDER NAME        folders NAME.<what is wrong>
"""
import json
import pathlib
import sys

import numpy as np


def read(path):
    """name -> (type, shape, bytes)."""
    content = pathlib.Path(path).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    data = content[start:]
    return {name: (one["dtype"], tuple(one["shape"]), data[slice(*one["data_offsets"])]) for name, one in header.items()}


def write(path, tensors):
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(len(text).to_bytes(8, "little") + text + data)


def numbers(one):
    dtype, shape, content = one
    return np.frombuffer(content, {"F64": "<f8", "F32": "<f4", "I64": "<i8"}[dtype]).reshape(shape)


def first_sequence(golden):
    return int(numbers(golden["batch0.lengths"])[0])


def tokens(golden):
    golden = read(golden)
    print(*numbers(golden["batch0.tokens"])[: first_sequence(golden)])


def weights(golden, file):
    start = "initial."
    expected = {name[len(start) :]: one for name, one in read(golden).items() if name.startswith(start)}
    same_tensors(expected, read(file))


def logits(golden, file, token):
    golden = read(golden)
    expected, got = numbers(golden["output.logits"])[: first_sequence(golden)], numbers(read(file)["logits"])
    assert got.shape == expected.shape, f"logits are {got.shape} instead of {expected.shape}"
    error = np.abs(got - expected).max() / np.abs(expected).max()
    assert error < 1e-5, f"logits are off by {error:.1e} of the largest"
    assert int(token) == expected[-1].argmax(), f"the likeliest token is {expected[-1].argmax()}, not {token}"


def same(a, b):
    same_tensors(read(a), read(b))


def same_tensors(a, b):
    assert a.keys() == b.keys(), f"names differ: {sorted(a.keys() ^ b.keys())}"
    for name in a:
        assert a[name] == b[name], f"{name} differs: {a[name][:2]} and {b[name][:2]}"


def forget(file, to):
    write(to, read(file))


def as_f16(one):
    """Random numbers of half precision in the place of the tensor's."""
    dtype, shape, _ = one
    random = np.random.default_rng(len(shape) + shape[0])
    return "F16", shape, random.normal(size=shape).astype("<f2").tobytes()


def vary(folder, to):
    folder, to = pathlib.Path(folder), pathlib.Path(to)
    to.mkdir(exist_ok=True)
    state = read(folder / "model.safetensors")
    gpt2 = "transformer.wte.weight" in state
    prefix = "transformer." if gpt2 else "model."
    state = {name.removeprefix(prefix): as_f16(one) if "mlp" in name else one for name, one in state.items()}
    table = "wte.weight" if gpt2 else "embed_tokens.weight"
    config = json.loads((folder / "config.json").read_text())
    if gpt2:
        computed = {f"h.{i}.attn.bias": ("BOOL", (1, 1, 2, 2), b"\1\0\1\1") for i in range(2)}
    else:
        rotary = {"rope_theta": config.pop("rope_theta"), "rope_type": "default"}
        config |= {"tie_word_embeddings": True, "rope_parameters": rotary}
        computed = {f"layers.{i}.self_attn.rotary_emb.inv_freq": ("F32", (4,), bytes(16)) for i in range(2)}
    state["lm_head.weight"] = state[table]
    (to / "config.json").write_text(json.dumps(config))
    names = list(state)
    write(to / "model-00001-of-00002.safetensors", {name: state[name] for name in names[:7]})
    write(to / "model-00002-of-00002.safetensors", {name: state[name] for name in names[7:]} | computed)
    write(to / "parameters.safetensors", state)


def damage(folder, name):
    folder = pathlib.Path(folder)
    state, config = read(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())

    def put(what, changed_state=(), changed_config=(), without=None):
        to = pathlib.Path(f"{name}.{what}")
        to.mkdir(exist_ok=True)
        write(to / "model.safetensors", {k: v for k, v in (state | dict(changed_state)).items() if k != without})
        (to / "config.json").write_text(json.dumps(config | dict(changed_config)))

    def zeros(*shape):
        return "F32", shape, bytes(4 * int(np.prod(shape)))

    if name == "gpt2":
        put("missing", without="transformer.h.1.mlp.c_fc.weight")
        put("shape", {"transformer.h.0.attn.c_attn.weight": zeros(32, 95)})
        put("relu", (), {"activation_function": "relu"})
        put("headless", (), {"n_head": 0})
    else:
        put("extra", {"model.layers.0.self_attn.q_norm.weight": zeros(8)})
        put("shape", {"model.layers.1.self_attn.k_proj.weight": zeros(24, 32)})
        put("scaled", (), {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}})


if __name__ == "__main__":
    try:
        globals()[sys.argv[1]](*sys.argv[2:])
    except (AssertionError, OSError) as e:
        sys.exit(str(e))
