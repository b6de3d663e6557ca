# SPDX-License-Identifier: MIT
"""Makes the golden numbers of tests/golden: float64 values and gradients by PyTorch, an independent oracle.

    python3 tests/golden/make.py [folder]        # needs torch, numpy, safetensors; about ten seconds on one core

Every formula is written out below in plain tensor operations; gradients come from autograd. Where PyTorch has the same
function (scaled_dot_product_attention, rms_norm, layer_norm, gelu, cross_entropy, AdamW, SGD, clip_grad_norm_) the script
checks itself against it and stops if they differ.

Conventions, the same as formwork's:
- an activation is (tokens x width), a ragged batch is its sequences' rows one after another, `lengths` holds how many each;
- head h of width d is columns h d .. h d + d - 1; query head h reads key head h / (heads / key_heads);
- weights are (in x out), y = x W + b; positions are 0-based; a causal query at position p sees keys at positions <= p;
- a target of -1 is ignored, the loss is the mean over the others.

Names in a file: `<case>.input.x`, `<case>.output.y`, `<case>.upstream.y` (the gradient that arrives at y) and
`<case>.grad.x` (the gradient of x). Without upstream, the gradient is that of the scalar output `loss`. Scalars are (1).
The metadata's `description` tells the version of PyTorch that made the file and the sizes and constants of each case.
"""
import json
import math
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))
import convert_huggingface  # noqa: E402


# ---------------------------------------------------------------------------------------------------- the formulas


def identity(x):
    return x


def gelu(x):
    """x Phi(x), with Phi by erfc so that the negative tail keeps its digits."""
    return 0.5 * x * torch.special.erfc(-x / math.sqrt(2))


def gelu_tanh(x):
    """x/2 (1 + tanh u) as x sigmoid(2u), so that the negative tail keeps its digits."""
    return x * torch.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def silu(x):
    return x / (1 + torch.exp(-x))


def relu2(x):
    return torch.clamp(x, min=0) ** 2


def softcap(cap):
    return lambda s: cap * torch.tanh(s / cap)


def rms_norm(x, gain, epsilon=1e-6):
    return x / torch.sqrt((x * x).mean(1, keepdim=True) + epsilon) * gain


def layer_norm(x, gain, bias, epsilon=1e-5):
    centred = x - x.mean(1, keepdim=True)
    y = centred / torch.sqrt((centred * centred).mean(1, keepdim=True) + epsilon) * gain
    return y if bias is None else y + bias


def rotate(x, heads, positions, pairing, base=10000.0, rotated=None):
    """Turns pair i of every head by the angle position * base^(-2i/rotated); columns from `rotated` on stay."""
    width = x.shape[1] // heads
    rotated = width if rotated is None else rotated
    i = torch.arange(rotated // 2)
    angle = positions.double()[:, None] * base ** (-2.0 * i.double() / rotated)
    cos, sin = torch.cos(angle), torch.sin(angle)
    first = {"interleaved": 2 * i, "half": i}[pairing]
    second = {"interleaved": 2 * i + 1, "half": i + rotated // 2}[pairing]
    blocks = []
    for block in x.split(width, dim=1):
        a, b = block[:, first], block[:, second]
        turned = block.clone()
        turned[:, first] = a * cos - b * sin
        turned[:, second] = a * sin + b * cos
        blocks.append(turned)
    return torch.cat(blocks, dim=1)


def positions_of(lengths):
    return torch.cat([torch.arange(n) for n in lengths])


def attention(q, k, v, lengths, heads, key_heads, causal, score=identity, scale=None):
    """softmax(score(scale * q k^T) + mask) v for every head of every sequence; also the log-sum-exp (tokens x heads)."""
    key_width, head_width = q.shape[1] // heads, v.shape[1] // key_heads
    scale = 1 / math.sqrt(key_width) if scale is None else scale
    y, lse = [], []
    for qs, ks, vs in zip(q.split(lengths), k.split(lengths), v.split(lengths)):
        n = qs.shape[0]
        visible = torch.ones(n, n, dtype=torch.bool).tril() if causal else torch.ones(n, n, dtype=torch.bool)
        y_heads, lse_heads = [], []
        for h in range(heads):
            g = h // (heads // key_heads)
            qh = qs[:, h * key_width : (h + 1) * key_width]
            kh = ks[:, g * key_width : (g + 1) * key_width]
            vh = vs[:, g * head_width : (g + 1) * head_width]
            s = score(scale * qh @ kh.T).masked_fill(~visible, -math.inf)
            y_heads.append(torch.softmax(s, dim=1) @ vh)
            lse_heads.append(torch.logsumexp(s, dim=1, keepdim=True))
        y.append(torch.cat(y_heads, dim=1))
        lse.append(torch.cat(lse_heads, dim=1))
    return torch.cat(y), torch.cat(lse)


def linear_attention(q, k, v, lengths, heads, key_heads, causal, feature, pairing=None):
    """sum_j w_ij v_j / sum_j f(q_i) f(k_j), w_ij = f(q_i) f(k_j), of the rotated features where there is a pairing."""
    key_width, head_width = q.shape[1] // heads, v.shape[1] // key_heads
    y = []
    for qs, ks, vs in zip(q.split(lengths), k.split(lengths), v.split(lengths)):
        n = qs.shape[0]
        fq, fk = feature(qs), feature(ks)
        rq, rk = ((rotate(f, h, torch.arange(n), pairing) for f, h in ((fq, heads), (fk, key_heads))) if pairing else (fq, fk))
        seen = torch.ones(n, n).tril() if causal else torch.ones(n, n)
        y_heads = []
        for h in range(heads):
            g = h // (heads // key_heads)
            mine, theirs = slice(h * key_width, (h + 1) * key_width), slice(g * key_width, (g + 1) * key_width)
            numerator = (rq[:, mine] @ rk[:, theirs].T * seen) @ vs[:, g * head_width : (g + 1) * head_width]
            y_heads.append(numerator / (fq[:, mine] @ fk[:, theirs].T * seen).sum(1, keepdim=True))
        y.append(torch.cat(y_heads, dim=1))
    return torch.cat(y)


def linear(x, weight, bias=None):
    return x @ weight if bias is None else x @ weight + bias


def cross_entropy(logits, targets):
    """Mean over the counted rows of log(sum exp) - the target's logit; also the log-sum-exp of every row."""
    lse = torch.logsumexp(logits, dim=1)
    counted = targets >= 0
    picked = logits.gather(1, targets.clamp(min=0)[:, None])[:, 0]
    return (lse - picked)[counted].mean(), lse


# ---------------------------------------------------------------------------------------------------- the tiny models


def model_logits(p, shape, tokens, lengths):
    """A pre-norm decoder; p holds the parameters by path, shape the mechanisms and sizes."""

    def project(x, path):
        return linear(x, p[path + ".weight"], p.get(path + ".bias"))

    def norm(x, path):
        if shape["norm"] == "rms_norm":
            return rms_norm(x, p[path + ".gain"])
        return layer_norm(x, p[path + ".gain"], p[path + ".bias"])

    def placed(x):
        return x if "position.table" in p else rotate(x, shape["heads"], positions, "half")

    positions = positions_of(lengths)
    x = p["embedding.table"][tokens]
    x = x + p["position.table"][positions] if "position.table" in p else x
    for i in range(shape["depth"]):
        layer = f"layers.{i}."
        u = norm(x, layer + "norm1")
        q = placed(project(u, layer + "mixer.query"))
        k = placed(project(u, layer + "mixer.key"))
        v = project(u, layer + "mixer.value")
        mixed, _ = attention(q, k, v, lengths, shape["heads"], shape["heads"], causal=True)
        x = x + project(mixed, layer + "mixer.output")
        u = norm(x, layer + "norm2")
        if shape["feedforward"] == "gated_silu":
            inner = silu(project(u, layer + "feedforward.gate")) * project(u, layer + "feedforward.up")
        else:
            inner = gelu(project(u, layer + "feedforward.up"))
        x = x + project(inner, layer + "feedforward.down")
    x = norm(x, "norm")
    return x @ p["embedding.table"].T if shape["tied"] else x @ p["head.weight"]


def model_parameters(shape, random):
    width, hidden, vocab = shape["width"], shape["hidden"], shape["vocab"]
    sizes = {"embedding.table": (vocab, width)}
    sizes |= {"position.table": (shape["positions"], width)} if "positions" in shape else {}
    projections = [("mixer.query", width, width), ("mixer.key", width, width), ("mixer.value", width, width)]
    projections += [("mixer.output", width, width)]
    projections += [("feedforward.gate", width, hidden)] if shape["feedforward"] == "gated_silu" else []
    projections += [("feedforward.up", width, hidden), ("feedforward.down", hidden, width)]
    for i in range(shape["depth"]):
        for name in ("norm1", "norm2"):
            sizes[f"layers.{i}.{name}.gain"] = (1, width)
            if shape["norm"] == "layer_norm":
                sizes[f"layers.{i}.{name}.bias"] = (1, width)
        for name, rows, cols in projections:
            sizes[f"layers.{i}.{name}.weight"] = (rows, cols)
            if shape["biases"]:
                sizes[f"layers.{i}.{name}.bias"] = (1, cols)
    sizes["norm.gain"] = (1, width)
    if shape["norm"] == "layer_norm":
        sizes["norm.bias"] = (1, width)
    if not shape["tied"]:
        sizes["head.weight"] = (width, vocab)

    def start(path, size):
        noise = torch.randn(size, generator=random)
        if path.endswith(".gain"):
            return 1 + 0.1 * noise
        if path.endswith(".bias"):
            return 0.1 * noise
        return noise * (0.4 if path.endswith(".table") else 1 / math.sqrt(size[0]))

    return {path: start(path, size) for path, size in sizes.items()}


def model_batch(vocab, lengths, ignored, random):
    """Token ids, and as targets the ids that follow them, -1 at the rows in `ignored`."""
    streams = [torch.randint(vocab, (n + 1,), generator=random) for n in lengths]
    tokens = torch.cat([s[:-1] for s in streams])
    targets = torch.cat([s[1:] for s in streams])
    targets[ignored] = -1
    return {"lengths": lengths, "tokens": tokens, "targets": targets}


def model_gradients(p, shape, batch):
    leaves = {path: value.clone().requires_grad_() for path, value in p.items()}
    logits = model_logits(leaves, shape, batch["tokens"], batch["lengths"])
    loss, _ = cross_entropy(logits, batch["targets"])
    grads = torch.autograd.grad(loss, list(leaves.values()))
    return logits.detach(), loss.detach(), dict(zip(leaves, grads))


def adamw_step(p, m, v, g, t, rate=1e-2, beta1=0.9, beta2=0.95, epsilon=1e-8, decay=0.1):
    """p <- p (1 - rate decay) - rate mhat / (sqrt(vhat) + epsilon), in place; t counts from 1."""
    for path in p:
        m[path] = beta1 * m[path] + (1 - beta1) * g[path]
        v[path] = beta2 * v[path] + (1 - beta2) * g[path] ** 2
        m_hat, v_hat = m[path] / (1 - beta1**t), v[path] / (1 - beta2**t)
        p[path] = p[path] * (1 - rate * decay) - rate * m_hat / (torch.sqrt(v_hat) + epsilon)


def sgd_step(p, velocity, g, rate=0.1, momentum=0.9):
    """velocity <- momentum velocity + g; p <- p - rate velocity (PyTorch: no dampening, the first velocity is g)."""
    for path in p:
        velocity[path] = momentum * velocity[path] + g[path]
        p[path] = p[path] - rate * velocity[path]


def clip(g, limit):
    """g min(1, limit / |g|) with |g| over all parameters; returns |g|."""
    norm = math.sqrt(sum(float((x * x).sum()) for x in g.values()))
    for path in g:
        g[path] = g[path] * min(1.0, limit / norm)
    return norm


def train(initial, shape, batches, steps, rule, limit=None):
    """The loss before each step, the gradient's norm before clipping, and the parameters after the last step."""
    p = dict(initial)
    first = {path: torch.zeros_like(x) for path, x in p.items()}
    second = {path: torch.zeros_like(x) for path, x in p.items()}
    losses, norms = [], []
    for t in range(1, steps + 1):
        _, loss, g = model_gradients(p, shape, batches[(t - 1) % len(batches)])
        norms.append(clip(g, math.inf if limit is None else limit))
        losses.append(float(loss))
        if rule == "adamw":
            adamw_step(p, first, second, g, t)
        else:
            sgd_step(p, first, g)
    return torch.tensor(losses), torch.tensor(norms), p


def train_by_pytorch(initial, shape, batches, steps, rule):
    """The same by torch.optim, to check train()."""
    p = {path: x.clone().requires_grad_() for path, x in initial.items()}
    if rule == "adamw":
        optimizer = torch.optim.AdamW(p.values(), lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    else:
        optimizer = torch.optim.SGD(p.values(), lr=0.1, momentum=0.9)
    for t in range(steps):
        batch = batches[t % len(batches)]
        optimizer.zero_grad()
        logits = model_logits(p, shape, batch["tokens"], batch["lengths"])
        F.cross_entropy(logits, batch["targets"], ignore_index=-1).backward()
        optimizer.step()
    return {path: x.detach() for path, x in p.items()}


def greedy(p, shape, prompt, count):
    """The most likely next token, `count` times; also the smallest lead of a winner over the second."""
    ids, lead = prompt.clone(), math.inf
    for _ in range(count):
        last = model_logits(p, shape, ids, [len(ids)])[-1]
        best = torch.topk(last, 2)
        lead = min(lead, float(best.values[0] - best.values[1]))
        ids = torch.cat([ids, best.indices[:1]])
    return ids[len(prompt) :], lead


# ---------------------------------------------------------------------------------------------------- the files


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def normal(random, *size, scale=1.0):
    return scale * torch.randn(*size, generator=random)


def agree(ours, theirs, what, tolerance=1e-12):
    error = float((ours - theirs).abs().max() / theirs.abs().max())
    assert error <= tolerance, f"{what}: differs from PyTorch's own by {error:.2e}"


def case(tensors, name, inputs, function, random, constants=(), keep_inputs=True):
    """Runs function(**inputs) -> {output name: tensor}, draws upstream gradients and stores everything under `name`.

    An output called `loss` gets no upstream; outputs named in `constants` are stored but carry no gradient.
    """
    leaves = {k: x.clone().requires_grad_() if x.is_floating_point() else x for k, x in inputs.items()}
    outputs = function(**leaves)
    objective = 0
    for k, y in outputs.items():
        tensors[f"{name}.output.{k}"] = y.detach().reshape(1) if y.dim() == 0 else y.detach()
        if k == "loss":
            objective = objective + y
        elif k not in constants:
            key = f"{name}.upstream.{k}"
            tensors.setdefault(key, normal(random, *y.shape))
            objective = objective + (y * tensors[key]).sum()
    differentiable = {k: x for k, x in leaves.items() if x.requires_grad}
    for (k, x), g in zip(differentiable.items(), torch.autograd.grad(objective, list(differentiable.values()))):
        tensors[f"{name}.grad.{k}"] = g
    if keep_inputs:
        tensors.update({f"{name}.input.{k}": x for k, x in inputs.items()})


def write(name, tensors, description):
    path = folder / f"{name}.safetensors"
    tensors = {k: x.detach().clone().contiguous() for k, x in tensors.items()}
    for k, x in tensors.items():
        assert bool(torch.isfinite(x.double()).all()), f"{name}: {k} is not finite"
    # One entry only: the library writes several in any order, and the same script should make the same bytes.
    save_file(tensors, str(path), metadata={"description": f"PyTorch {torch.__version__}: " + " ".join(description.split())})
    print(f"{path}: {len(tensors)} tensors, {path.stat().st_size} bytes")


def attention_group(tensors, random, name, lengths, heads, key_heads, key_width, head_width, cases):
    """Cases (label, causal or not, pairing of a rotation or None, softcap or None) of one set of inputs."""
    n = sum(lengths)
    # Queries three times as long as keys: scores of several units, where a softcap of 5 bends and softmax is peaked.
    inputs = {
        "q": normal(random, n, heads * key_width, scale=3),
        "k": normal(random, n, key_heads * key_width),
        "v": normal(random, n, key_heads * head_width),
    }
    upstream = normal(random, n, heads * head_width)
    tensors.update({f"{name}.input.{k}": x for k, x in inputs.items()})
    tensors.update({f"{name}.lengths": torch.tensor(lengths), f"{name}.upstream.y": upstream})
    for label, causal, pairing, cap in cases:

        def run(q, k, v):
            if pairing:
                q = rotate(q, heads, positions_of(lengths), pairing)
                k = rotate(k, key_heads, positions_of(lengths), pairing)
            y, lse = attention(q, k, v, lengths, heads, key_heads, causal, softcap(cap) if cap else identity)
            return {"y": y, "lse": lse}

        tensors[f"{name}.{label}.upstream.y"] = upstream
        case(tensors, f"{name}.{label}", inputs, run, random, constants=("lse",), keep_inputs=False)
        del tensors[f"{name}.{label}.upstream.y"]  # shared, as the inputs
        if not pairing and not cap:
            theirs = attention_by_pytorch(inputs, lengths, key_width, head_width, causal)
            agree(tensors[f"{name}.{label}.output.y"], theirs, f"attention {name}.{label}")


def attention_by_pytorch(inputs, lengths, key_width, head_width, causal):
    y = []
    for q, k, v in zip(*(inputs[name].split(lengths) for name in "qkv")):
        heads = [x.view(len(q), -1, w).transpose(0, 1)[None] for x, w in ((q, key_width), (k, key_width), (v, head_width))]
        out = F.scaled_dot_product_attention(*heads, is_causal=causal, enable_gqa=True)
        y.append(out[0].transpose(0, 1).reshape(len(q), -1))
    return torch.cat(y)


def make_attention():
    plain = [("full", False, None, None), ("causal", True, None, None)]
    shared = """softmax attention, scale 1/sqrt(key width). Inputs and upstream are shared by the cases of a group; lse (tokens x
        heads) is the log-sum-exp of a row's scores. """
    random, tensors = seeded(1), {}
    attention_group(tensors, random, "plain", [7, 1, 19], 3, 3, 8, 5, plain)
    attention_group(tensors, random, "grouped", [7, 1, 19], 4, 2, 6, 5, plain + [
        ("causal_rope_half", True, "half", None), ("causal_rope_interleaved", True, "interleaved", None),
        ("full_softcap_30", False, None, 30.0), ("causal_softcap_5", True, None, 5.0),
        ("causal_rope_half_softcap_5", True, "half", 5.0)])
    write("attention", tensors, shared + """plain: 3 heads, key width 8, head width 5; grouped: 4 heads on 2 key heads, key width
        6, head width 5; rope: base 10000, q and k rotated from position 0, gradients those of q and k before the rotation;
        softcap: scores s -> cap tanh(s / cap).""")
    random, tensors = seeded(10), {}
    attention_group(tensors, random, "long", [401, 66], 1, 1, 4, 3, plain)
    write("attention_long", tensors, shared + "One head, key width 4, head width 3; more keys than a kernel takes at once.")


def talking_heads(q, k, v, score_mix, weight_mix, lengths, causal):
    """Einsum form; the matrices are (heads of q and k x heads) and (heads x heads of v and y)."""
    y = []
    for qs, ks, vs in zip(q.split(lengths), k.split(lengths), v.split(lengths)):
        n = qs.shape[0]
        qh, kh = (x.view(n, score_mix.shape[0], -1) for x in (qs, ks))
        scores = torch.einsum("nad,mad,ah->hnm", qh, kh, score_mix) / math.sqrt(qh.shape[2])
        if causal:
            scores = scores.masked_fill(~torch.ones(n, n, dtype=torch.bool).tril(), -math.inf)
        vh = vs.view(n, weight_mix.shape[1], -1)
        y.append(torch.einsum("hnm,ho,mod->nod", torch.softmax(scores, dim=-1), weight_mix, vh).reshape(n, -1))
    return torch.cat(y)


def make_talking_heads():
    random, tensors, lengths = seeded(11), {}, [7, 1, 40]
    inputs = {"q": normal(random, 48, 2 * 6), "k": normal(random, 48, 2 * 6), "v": normal(random, 48, 4 * 5),
              "score_mix": normal(random, 2, 3), "weight_mix": normal(random, 3, 4)}
    tensors["lengths"] = torch.tensor(lengths)
    for label, causal in (("full", False), ("causal", True)):
        case(tensors, label, inputs, lambda **x: {"y": talking_heads(**x, lengths=lengths, causal=causal)}, random)
    write("talking_heads", tensors, """talking-heads attention, scale 1/sqrt(key width): 2 heads of q and k (width 6) are mixed to 3
        before the softmax and to 4 heads of v and y (width 5) after it; the mask comes after the first mix.""")


def make_linear_attention():
    random, tensors = seeded(11), {}
    lengths, heads, key_heads, key_width, head_width = [50, 1, 9], 4, 2, 4, 3
    inputs = {"q": normal(random, 60, heads * key_width), "k": normal(random, 60, key_heads * key_width),
              "v": normal(random, 60, key_heads * head_width)}
    upstream = normal(random, 60, heads * head_width)
    tensors.update({f"input.{k}": x for k, x in inputs.items()} | {"lengths": torch.tensor(lengths), "upstream.y": upstream})
    elu, relu = lambda x: F.elu(x) + 1, lambda x: F.relu(x) + 1e-3
    for label, causal, feature, pairing in (("full", False, elu, None), ("causal", True, elu, None), ("exp", True, torch.exp, None),
                                            ("relu", True, relu, None), ("full_rope_half", False, elu, "half"),
                                            ("causal_rope_half", True, elu, "half")):

        def run(q, k, v):
            return {"y": linear_attention(q, k, v, lengths, heads, key_heads, causal, feature, pairing)}

        tensors[f"{label}.upstream.y"] = upstream
        case(tensors, label, inputs, run, random, keep_inputs=False)
        del tensors[f"{label}.upstream.y"]
    write("linear_attention", tensors, """linear attention, 4 heads on 2 key heads, key width 4, head width 3; features elu + 1, exp,
        relu + 1e-3; rope: base 10000, features of the numerator rotated. Inputs and upstream are shared by the cases.""")


def make_norms():
    random, tensors = seeded(2), {}
    for width in (24, 37, 1):
        rows = 11
        inputs = {"x": normal(random, rows, width) + normal(random, rows, 1), "gain": 1 + normal(random, 1, width, scale=0.3)}
        bias = normal(random, 1, width)
        residual = normal(random, rows, width)
        case(tensors, f"rms_norm_{width}", inputs, lambda x, gain: {"y": rms_norm(x, gain)}, random)
        case(tensors, f"layer_norm_{width}", inputs | {"bias": bias},
             lambda x, gain, bias: {"y": layer_norm(x, gain, bias)}, random)
        case(tensors, f"layer_norm_no_bias_{width}", inputs, lambda x, gain: {"y": layer_norm(x, gain, None)}, random)
        case(tensors, f"add_rms_norm_{width}", inputs | {"residual": residual},
             lambda x, gain, residual: {"sum": x + residual, "y": rms_norm(x + residual, gain)}, random)
        case(tensors, f"add_layer_norm_{width}", inputs | {"residual": residual, "bias": bias},
             lambda x, gain, residual, bias: {"sum": x + residual, "y": layer_norm(x + residual, gain, bias)}, random)
        x, gain = inputs["x"], inputs["gain"][0]
        agree(tensors[f"rms_norm_{width}.output.y"], F.rms_norm(x, (width,), gain, 1e-6), "rms_norm")
        agree(tensors[f"layer_norm_{width}.output.y"], F.layer_norm(x, (width,), gain, bias[0], 1e-5), "layer_norm")
    write("norms", tensors, """
        rows of width 24, 37 and 1: rms_norm epsilon 1e-6, layer_norm epsilon 1e-5 (biased variance), both added under the
        root; add_*: of sum = x + residual, with an upstream gradient at sum as well as at y.""")


def make_activations():
    random, tensors = seeded(3), {}
    x = torch.cat([torch.linspace(-30, 12, 85), torch.linspace(-1, 1, 41), torch.tensor([0.0, 1e-9, -1e-9, 30.0]), normal(random, 70)])
    for name, function in (("gelu", gelu), ("silu", silu), ("relu2", relu2)):
        case(tensors, name, {"x": x[None, :]}, lambda x: {"y": function(x)}, random)
    # Where rounding the argument of the sigmoid costs few digits.
    case(tensors, "gelu_tanh", {"x": x[x > -8][None, :]}, lambda x: {"y": gelu_tanh(x)}, random)
    agree(tensors["gelu.output.y"], F.gelu(x)[None, :], "gelu")
    agree(tensors["gelu_tanh.output.y"], F.gelu(x[x > -8], approximate="tanh")[None, :], "gelu_tanh")
    agree(tensors["silu.output.y"], F.silu(x)[None, :], "silu")
    write("activations", tensors, """elementwise: gelu x Phi(x) (exact), gelu_tanh its approximation by tanh, silu
        x / (1 + exp(-x)), relu2 max(x, 0)^2.""")


def make_rope():
    random, tensors = seeded(4), {}
    n, heads, width = 41, 2, 8
    x = normal(random, n, heads * width)
    for pairing in ("half", "interleaved"):
        for rotated in (8, 6):
            case(tensors, f"{pairing}_{rotated}", {"x": x},
                 lambda x: {"y": rotate(x, heads, torch.arange(n), pairing, rotated=rotated)}, random)
    write("rope", tensors, """
        one sequence, positions 0 to 40, 2 heads of width 8, base 10000; the first 8 or 6 columns of a head are rotated:
        pair i is columns (i, i + rotated / 2) for half, (2i, 2i + 1) for interleaved, its angle position * base^(-2i/rotated).""")


def make_cross_entropy():
    random, tensors = seeded(5), {}
    n, width, vocab = 17, 12, 29
    targets = torch.randint(vocab, (n,), generator=random)
    targets[[0, 5, 6, 16]] = -1
    inputs = {"hidden": normal(random, n, width), "targets": targets}

    def run(logits, targets):
        loss, lse = cross_entropy(logits, targets)
        return {"loss": loss, "lse": lse}

    case(tensors, "own_head", inputs | {"head": normal(random, width, vocab)},
         lambda hidden, targets, head: run(hidden @ head, targets), random, constants=("lse",))
    case(tensors, "tied", inputs | {"table": normal(random, vocab, width)},
         lambda hidden, targets, table: run(hidden @ table.T, targets), random, constants=("lse",))
    for name, logits in (("own_head", inputs["hidden"] @ tensors["own_head.input.head"]),
                         ("tied", inputs["hidden"] @ tensors["tied.input.table"].T)):
        agree(tensors[f"{name}.output.loss"], F.cross_entropy(logits, targets, ignore_index=-1), "cross_entropy")
    write("cross_entropy", tensors, """
        logits = hidden (17 x 12) times head (12 x 29), or the transpose of table (29 x 12); loss is the mean over the
        targets >= 0, lse the log-sum-exp of every row, ignored ones too.""")


def make_mlp():
    random, tensors = seeded(6), {}
    n, width, hidden = 13, 10, 19
    x = {"x": normal(random, n, width)}

    def weights(*names, inside=width, outside=hidden):
        return {k: normal(random, inside, outside, scale=inside**-0.5) for k in names}

    case(tensors, "linear", x | weights("weight") | {"bias": normal(random, 1, hidden)},
         lambda x, weight, bias: {"y": linear(x, weight, bias)}, random)
    down = weights("down_weight", inside=hidden, outside=width)
    case(tensors, "mlp",
         x | weights("up_weight") | {"up_bias": normal(random, 1, hidden)} | down | {"down_bias": normal(random, 1, width)},
         lambda x, up_weight, up_bias, down_weight, down_bias: {
             "y": linear(gelu(linear(x, up_weight, up_bias)), down_weight, down_bias)}, random)
    case(tensors, "gated_mlp", x | weights("gate_weight", "up_weight") | down,
         lambda x, gate_weight, up_weight, down_weight: {"y": (silu(x @ gate_weight) * (x @ up_weight)) @ down_weight}, random)
    write("mlp", tensors, """
        x (13 x 10), hidden 19. linear: x W + b; mlp: gelu(x up + b) down + b; gated_mlp: (silu(x gate) * (x up)) down,
        without biases.""")


def make_update():
    random, tensors = seeded(7), {}
    value, steps = normal(random, 5, 7), 4
    gradients = [normal(random, 5, 7, scale=10.0 ** (1 - t)) for t in range(steps)]
    tensors["input.value"] = value
    for t, g in enumerate(gradients, 1):
        tensors[f"input.gradient_{t}"] = g
    rules = {
        "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
        "sgd_momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    }
    for name, rule in rules.items():
        p = value.clone().requires_grad_()
        optimizer = rule([p])
        for t, g in enumerate(gradients, 1):
            p.grad = g.clone()
            optimizer.step()
            tensors[f"{name}.output.value_{t}"] = p.detach().clone()
        state = optimizer.state[p]
        for ours, theirs in (("first", "exp_avg"), ("second", "exp_avg_sq"), ("velocity", "momentum_buffer")):
            if state.get(theirs) is not None:
                tensors[f"{name}.output.{ours}"] = state[theirs].clone()
    write("update", tensors, """
        torch.optim on given gradients, 4 steps: adamw rate 1e-2, beta (0.9, 0.95), epsilon 1e-8 outside the root, decoupled
        weight decay 0.1; sgd rate 0.1; sgd_momentum rate 0.1, velocity = 0.9 velocity + gradient, the first velocity is
        the gradient. value_t is the value after step t; first, second, velocity are the state after the last.""")


def hippo_ode(basis, order, window):
    """A, B of x' = A x + B u; for legs of x' = (A x + B u) / t. Orthonormal coefficients (2008.07669, 2206.12037)."""
    n = torch.arange(order, dtype=torch.float64)
    r = torch.sqrt(2 * n + 1)
    if basis == "legs":
        return -torch.tril(torch.outer(r, r), -1) - torch.diag(n + 1), math.sqrt(2) * r
    if basis == "legt":
        sign = torch.where(n[:, None] > n[None, :], 1.0, (-1.0) ** (n[:, None] - n[None, :]))
        return -torch.outer(r, r) * sign / window, math.sqrt(2) * r / window
    if basis == "lagt":
        return -torch.tril(torch.ones(order, order)) / window, torch.ones(order) / window
    b = torch.tensor([1.0] + [math.sqrt(2), 0.0] * (order // 2))
    turn = torch.zeros(order, order)
    for i in range(1, order, 2):
        turn[i + 1, i], turn[i, i + 1] = math.pi * (i + 1), -math.pi * (i + 1)
    return (turn - 2 * torch.outer(b, b)) / window, 2 * b / window


def hippo_step(a, b, rates, rule):
    """The matrices of one step whose rate, times its length, goes from rates[0] to rates[1]."""
    one = torch.eye(len(b))
    if rule == "zero_order_hold":
        e = torch.linalg.matrix_exp(a * (math.log(rates[0] / rates[1]) if rates[0] != rates[1] else rates[0]))
        return e, torch.linalg.solve(a, (e - one) @ b)
    before, after = {"bilinear": (rates[0] / 2, rates[1] / 2), "backward_euler": (0.0, rates[1])}[rule]
    left = one - after * a
    return torch.linalg.solve(left, one + before * a), torch.linalg.solve(left, (before + after) * b)


def make_hippo():
    random, tensors, lengths = seeded(10), {}, [9, 1, 14]
    for basis, rule in (("legs", "bilinear"), ("legs", "backward_euler"), ("legs", "zero_order_hold"), ("legt", "bilinear"),
                        ("lagt", "backward_euler"), ("fourier", "zero_order_hold")):
        order, width, window = 7, 3, 5.0
        a, b = hippo_ode(basis, order, window)
        u, c, d, upstream = (normal(random, rows, width) for rows in (sum(lengths), order, 1, sum(lengths)))
        for t in (u, c, d):
            t.requires_grad_()
        outputs, first = [], 0
        for length in lengths:
            x = torch.zeros(order, width)
            for k in range(length):
                now = u[first + k]
                if basis == "legs" and k == 0:
                    x = torch.cat([math.sqrt(2) * now[None], torch.zeros(order - 1, width)])
                else:
                    left, into = hippo_step(a, b, (1 / k, 1 / (k + 1)) if basis == "legs" else (1.0, 1.0), rule)
                    x = left @ x + torch.outer(into, now)
                outputs.append((c * x).sum(0) + d[0] * now)
            first += length
        y = torch.stack(outputs)
        y.backward(upstream)
        case = f"{basis}_{rule}"
        tensors |= {f"{case}.input.u": u, f"{case}.input.c": c, f"{case}.input.d": d, f"{case}.output.y": y,
                    f"{case}.upstream.y": upstream, f"{case}.grad.u": u.grad, f"{case}.grad.c": c.grad, f"{case}.grad.d": d.grad}
    tensors["lengths"] = torch.tensor(lengths)
    write("hippo", tensors, """
        y = c . x + d u where x is HiPPO's memory of u, order 7, width 3, window or scale 5, step 1, by dense matrices; LegS starts
        from (sqrt(2) u, 0, ...), its bilinear rule is the trapezoid's.""")


def s4d(x, lengths, log_a_real, a_imag, c_real, c_imag, log_step, d, value_weight, gate_weight, value_bias, gate_bias, method):
    """One S4D layer by its kernel K_l = 2 Re sum_n C_n gain_n pole_n^l (real modes: without 2 Re), a Toeplitz matrix of K,
    gelu, and the gated linear layer; parameters (modes x channels)."""
    a = -torch.exp(log_a_real)
    pairs = a_imag is not None
    a, c = (torch.complex(a, a_imag), torch.complex(c_real, c_imag)) if pairs else (a, c_real)
    step = torch.exp(log_step)
    if method == "zero_order_hold":
        pole, gain = torch.exp(step * a), (torch.exp(step * a) - 1) / a
    else:
        pole, gain = (1 + step * a / 2) / (1 - step * a / 2), step / (1 - step * a / 2)
    h = []
    for u in x.split(lengths):
        n = u.shape[0]
        powers = pole[None] ** torch.arange(n)[:, None, None]
        kernel = (c * gain * powers).sum(1)
        kernel = 2 * kernel.real if pairs else kernel
        lag = torch.arange(n)[:, None] - torch.arange(n)[None, :]
        toeplitz = kernel[lag.clamp(min=0)] * (lag >= 0)[:, :, None]
        h.append((toeplitz * u[None]).sum(1) + d * u)
    act = gelu(torch.cat(h))
    return linear(act, value_weight, value_bias) * torch.sigmoid(linear(act, gate_weight, gate_bias))


def make_s4d():
    random, tensors = seeded(11), {}
    lengths, width, modes = [37, 1, 20], 5, 3
    for method in ("zero_order_hold", "bilinear"):
        for kind in ("pairs", "real"):
            inputs = {"x": normal(random, sum(lengths), width)}
            for k in ("log_a_real", "a_imag", "c_real", "c_imag"):
                if kind == "pairs" or not k.endswith("imag"):
                    inputs[k] = normal(random, modes, width, scale=4.0 if k == "a_imag" else 1.0)
            inputs["log_step"] = math.log(1e-3) + math.log(100) * torch.rand(1, width, generator=random)
            inputs["d"] = normal(random, 1, width)
            for k in ("value", "gate"):
                inputs[f"output_{k}_weight"] = normal(random, width, width, scale=width**-0.5)
                inputs[f"output_{k}_bias"] = normal(random, 1, width)

            def run(x, log_a_real, c_real, log_step, d, output_value_weight, output_gate_weight, output_value_bias,
                    output_gate_bias, a_imag=None, c_imag=None, method=method):
                return {"y": s4d(x, lengths, log_a_real, a_imag, c_real, c_imag, log_step, d, output_value_weight,
                                 output_gate_weight, output_value_bias, output_gate_bias, method)}

            case(tensors, f"{method}_{kind}", inputs, run, random)
    tensors["lengths"] = torch.tensor(lengths)
    write("s4d", tensors, """
        an S4D layer, width 5, 3 modes (conjugate pairs, or real), x of sequences of 37, 1 and 20 tokens; A = -exp(log_a_real) +
        i a_imag, step exp(log_step), B = 1; the kernel by powers, as a Toeplitz matrix; y = (gelu(h) V + v) sigmoid(gelu(h) G +
        g).""")


def orthogonalized(x, coefficients=(3.4445, -4.7750, 2.0315), iterations=5, epsilon=1e-7):
    """Newton-Schulz: X = x / (|x| + epsilon), then X <- a X + (b A + c A A) X with A = X X^T, on the wide side."""
    a, b, c = coefficients
    wide = x if x.shape[0] <= x.shape[1] else x.T
    wide = wide / (torch.linalg.matrix_norm(wide) + epsilon)
    for _ in range(iterations):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide if x.shape[0] <= x.shape[1] else wide.T


def make_muon():
    random, tensors = seeded(10), {}
    convergent = {"coefficients": (15 / 8, -5 / 4, 3 / 8), "iterations": 12}
    for name, size in (("square", (6, 6)), ("wide", (5, 9)), ("tall", (9, 5))):
        x = normal(random, *size)
        tensors |= {f"{name}.input.x": x, f"{name}.output.tuned": orthogonalized(x)}
        u, _, v = torch.linalg.svd(x, full_matrices=False)
        tensors[f"{name}.output.msign"] = u @ v
        agree(orthogonalized(x, **convergent), u @ v, f"muon: {name}", 1e-10)
    rate, mu, decay = 0.02, 0.95, 0.1
    for name, size in (("wide", (5, 9)), ("tall", (9, 5))):
        value, gradients = normal(random, *size), [normal(random, *size, scale=10.0 ** (1 - t)) for t in range(4)]
        tensors[f"{name}.input.value"] = value
        tensors |= {f"{name}.input.gradient_{t}": g for t, g in enumerate(gradients, 1)}
        rows, columns = reversed(size)  # of (out x in) weights
        factors = {"original": math.sqrt(max(1, rows / columns)), "match_rms_adamw": 0.2 * math.sqrt(max(rows, columns))}
        for label, share, nesterov, scale in (("jordan", 1 - mu, True, "original"), ("moonshot", 1, True, "match_rms_adamw"),
                                              ("heavy_ball", 1, False, "original")):
            p, m = value.clone(), torch.zeros(size)
            for t, g in enumerate(gradients, 1):
                m = mu * m + share * g
                p = p * (1 - rate * decay) - rate * factors[scale] * orthogonalized(share * g + mu * m if nesterov else m)
                tensors[f"{name}.{label}.output.value_{t}"] = p
            tensors[f"{name}.{label}.output.momentum"] = m
    write("muon", tensors, """
        square, wide, tall: x, five Newton-Schulz iterations (3.4445, -4.7750, 2.0315) on it, and its msign by SVD. Steps of Muon
        on given gradients of (in x out) weights: rate 0.02, momentum 0.95, decoupled weight decay 0.1; jordan: m = 0.95 m +
        0.05 g, Nesterov, factor sqrt(max(1, out / in)); moonshot: m = 0.95 m + g, Nesterov, factor 0.2 sqrt(max(in, out));
        heavy_ball: m = 0.95 m + g, the step of m, factor sqrt(max(1, out / in)). value_t is the value after step t, momentum the
        state after the last.""")


def make_tiny_gpt(name, seed, shape, limit, description, sgd_name=None):
    random, tensors = seeded(seed), {}
    initial = model_parameters(shape, random)
    batches = [model_batch(shape["vocab"], [9, 1, 14], [3, 8, 20], random),
               model_batch(shape["vocab"], [5, 12, 1, 3], [0, 17], random)]
    for b, batch in enumerate(batches):
        tensors |= {f"batch{b}.{k}": torch.as_tensor(x) for k, x in batch.items()}
    logits, loss, gradients = model_gradients(initial, shape, batches[0])
    agree(loss, F.cross_entropy(logits, batches[0]["targets"], ignore_index=-1), "loss")
    losses, norms, final = train(initial, shape, batches, 10, "adamw", limit)
    if limit is None:
        theirs = train_by_pytorch(initial, shape, batches, 10, "adamw")
        for path in final:
            agree(final[path], theirs[path], f"{name}: adamw, {path}", 1e-10)
    prompt = batches[0]["tokens"][10:15]
    generated, lead = greedy(final, shape, prompt, 12)
    assert lead > 1e-3, f"{name}: a greedy choice is too close ({lead}); take another seed"
    tensors |= {"output.logits": logits, "output.loss": loss.reshape(1)}
    tensors |= {f"initial.{path}": x for path, x in initial.items()}
    tensors |= {f"grad.{path}": x for path, x in gradients.items()}
    tensors |= {f"final.{path}": x for path, x in final.items()}
    tensors |= {"training.losses": losses, "training.norms": norms}
    tensors |= {"generate.prompt": prompt, "generate.tokens": generated}
    common = """
        output and grad are of batch0 at the initial parameters; training: 10 steps of AdamW (rate 1e-2, beta (0.9, 0.95),
        epsilon 1e-8 outside the root, weight decay 0.1 on all parameters) on batch0, batch1, batch0, ...; losses are those
        before each step, norms the global gradient norms before clipping; final are the parameters after; generate: the
        greedy continuation of prompt by the final parameters."""
    write(name, tensors, description + common)
    if sgd_name:
        losses, norms, final = train(initial, shape, batches, 5, "sgd")
        theirs = train_by_pytorch(initial, shape, batches, 5, "sgd")
        for path in final:
            agree(final[path], theirs[path], f"{name}: sgd, {path}", 1e-10)
        write(sgd_name, {"training.losses": losses, "training.norms": norms} | {f"final.{k}": x for k, x in final.items()}, f"""
            5 steps of SGD (rate 0.1, momentum 0.9: velocity = 0.9 velocity + gradient, the first velocity is the gradient, value
            -= 0.1 velocity, no decay) from the initial parameters and on the batches of {name}.""")


# ---------------------------------------------------------------------------------------------------- models of transformers


def gpt2_logits(p, config, tokens, lengths):
    """GPT2LMHeadModel: weights (in x out), q, k and v side by side, the head is the table of tokens."""

    def layer(x, path):
        return linear(x, p[path + ".weight"], p[path + ".bias"])

    def norm(x, path):
        return layer_norm(x, p[path + ".weight"], p[path + ".bias"], config["layer_norm_epsilon"])

    heads, width = config["n_head"], config["n_embd"]
    x = p["transformer.wte.weight"][tokens] + p["transformer.wpe.weight"][positions_of(lengths)]
    for i in range(config["n_layer"]):
        h = f"transformer.h.{i}."
        q, k, v = layer(norm(x, h + "ln_1"), h + "attn.c_attn").split(width, dim=1)
        x = x + layer(attention(q, k, v, lengths, heads, heads, causal=True)[0], h + "attn.c_proj")
        x = x + layer(gelu_tanh(layer(norm(x, h + "ln_2"), h + "mlp.c_fc")), h + "mlp.c_proj")
    return norm(x, "transformer.ln_f") @ p["transformer.wte.weight"].T


def llama_logits(p, config, tokens, lengths):
    """LlamaForCausalLM: weights (out x in), no biases, rotary pairs (i, i + d/2), fewer heads of keys, a head of its own."""

    def layer(x, path):
        return x @ p[path + ".weight"].T

    def norm(x, path):
        return rms_norm(x, p[path + ".weight"], config["rms_norm_eps"])

    def turned(x, heads):
        return rotate(x, heads, positions_of(lengths), "half", config["rope_theta"])

    heads, key_heads = config["num_attention_heads"], config["num_key_value_heads"]
    x = p["model.embed_tokens.weight"][tokens]
    for i in range(config["num_hidden_layers"]):
        h = f"model.layers.{i}."
        u = norm(x, h + "input_layernorm")
        q, k, v = (layer(u, h + f"self_attn.{name}_proj") for name in "qkv")
        mixed, _ = attention(turned(q, heads), turned(k, key_heads), v, lengths, heads, key_heads, causal=True)
        x = x + layer(mixed, h + "self_attn.o_proj")
        u = norm(x, h + "post_attention_layernorm")
        x = x + layer(silu(layer(u, h + "mlp.gate_proj")) * layer(u, h + "mlp.up_proj"), h + "mlp.down_proj")
    return layer(norm(x, "model.norm"), "lm_head")


def make_huggingface(name, seed, config, sizes, dtype, logits_of, description):
    """A state as transformers names it, random, and what it answers; the converter gives weights and gradients our names."""
    random = seeded(seed)

    def start(path, size):
        noise = torch.randn(size, generator=random)
        if len(size) == 1:
            return 0.1 * noise if path.endswith(".bias") else 1 + 0.1 * noise
        return 0.3 * noise

    state = {path: start(path, size).to(dtype) for path, size in sizes.items()}
    place = folder / "huggingface" / name
    place.mkdir(parents=True, exist_ok=True)
    save_file(state, str(place / "model.safetensors"), metadata={"format": "pt"})
    (place / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    batch = model_batch(config["vocab_size"], [11, 1], [3], random)
    leaves = {path: value.double().requires_grad_() for path, value in state.items()}
    logits = logits_of(leaves, config, batch["tokens"], batch["lengths"])
    loss, _ = cross_entropy(logits, batch["targets"])
    gradients = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values()))))

    def renamed(prefix, tensors):
        theirs = {path: convert_huggingface.Tensor.of(x.detach().numpy()) for path, x in tensors.items()}
        ours, _, _ = convert_huggingface.to_formwork(name, theirs, config, {})
        return {prefix + path: torch.tensor(x.numbers()) for path, x in ours}

    tensors = {f"batch0.{k}": torch.as_tensor(x) for k, x in batch.items()}
    tensors |= {"output.logits": logits, "output.loss": loss.reshape(1)}
    tensors |= renamed("initial.", {path: value.float() for path, value in state.items()}) | renamed("grad.", gradients)
    write(f"{name}_huggingface", tensors, description + f"""
        initial are the weights of huggingface/{name} as examples/convert_huggingface.py names and turns them, output and grad
        what the reference has for batch0.""")


def make_huggingface_gpt2():
    vocab, width, hidden, positions, depth = 48, 32, 64, 16, 2
    config = {"model_type": "gpt2", "vocab_size": vocab, "n_positions": positions, "n_embd": width, "n_layer": depth, "n_head": 4,
              "n_inner": hidden, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5}
    sizes = {"transformer.wte.weight": (vocab, width), "transformer.wpe.weight": (positions, width)}
    for i in range(depth):
        for path, inside, outside in (("attn.c_attn", width, 3 * width), ("attn.c_proj", width, width), ("mlp.c_fc", width, hidden),
                                      ("mlp.c_proj", hidden, width)):
            sizes |= {f"transformer.h.{i}.{path}.weight": (inside, outside), f"transformer.h.{i}.{path}.bias": (outside,)}
        for path in ("ln_1", "ln_2"):
            sizes |= {f"transformer.h.{i}.{path}.weight": (width,), f"transformer.h.{i}.{path}.bias": (width,)}
    sizes |= {"transformer.ln_f.weight": (width,), "transformer.ln_f.bias": (width,)}
    make_huggingface("gpt2", 12, config, sizes, torch.float32, gpt2_logits, """
        GPT-2, vocab 48, width 32, depth 2, heads 4, hidden 64, 16 positions: layer_norm (1e-5), learned positions, gelu_tanh, biases,
        tied head; weights F32.""")


def make_huggingface_llama():
    vocab, width, hidden, depth, heads, key_heads = 48, 32, 56, 2, 4, 2
    config = {"model_type": "llama", "vocab_size": vocab, "hidden_size": width, "intermediate_size": hidden,
              "num_hidden_layers": depth, "num_attention_heads": heads, "num_key_value_heads": key_heads, "hidden_act": "silu",
              "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "rope_scaling": None, "attention_bias": False,
              "tie_word_embeddings": False}
    keys = width // heads * key_heads
    sizes = {"model.embed_tokens.weight": (vocab, width)}
    for i in range(depth):
        for path, outside, inside in (("self_attn.q_proj", width, width), ("self_attn.k_proj", keys, width),
                                      ("self_attn.v_proj", keys, width), ("self_attn.o_proj", width, width),
                                      ("mlp.gate_proj", hidden, width), ("mlp.up_proj", hidden, width),
                                      ("mlp.down_proj", width, hidden)):
            sizes[f"model.layers.{i}.{path}.weight"] = (outside, inside)
        sizes |= {f"model.layers.{i}.{path}.weight": (width,) for path in ("input_layernorm", "post_attention_layernorm")}
    sizes |= {"model.norm.weight": (width,), "lm_head.weight": (vocab, width)}
    make_huggingface("llama", 13, config, sizes, torch.bfloat16, llama_logits, """
        Llama, vocab 48, width 32, depth 2, heads 4 on 2 key heads, hidden 56: rms_norm (1e-5), rope half base 500000, gated silu,
        no biases, own head; weights BF16, here F32.""")


if __name__ == "__main__":
    make_attention()
    make_talking_heads()
    make_linear_attention()
    make_norms()
    make_activations()
    make_rope()
    make_cross_entropy()
    make_mlp()
    make_update()
    make_hippo()
    make_s4d()
    make_muon()
    sizes = {"vocab": 31, "width": 24, "depth": 2, "heads": 3, "hidden": 40}
    make_tiny_gpt(
        "tiny_gpt", 8, sizes | {"norm": "rms_norm", "feedforward": "gated_silu", "tied": False, "biases": False}, None,
        """vocab 31, width 24, depth 2, heads 3 (key width 8), hidden 40: rms_norm (1e-6), causal attention, rope half base
        10000, gated silu feed-forward, no biases, own head.""", sgd_name="tiny_gpt_sgd")
    make_tiny_gpt(
        "tiny_gpt2", 9, sizes | {"norm": "layer_norm", "feedforward": "gelu", "tied": True, "biases": True}, 0.5,
        """vocab 31, width 24, depth 2, heads 3 (key width 8), hidden 40: layer_norm (1e-5) with bias, causal attention, rope
        half base 10000, gelu mlp, biases in every linear, head tied to the embedding; the gradient is clipped to a global
        norm of 0.5, g min(1, 0.5 / |g|), before each step.""")
    make_tiny_gpt(
        "tiny_gpt2_learned", 11, sizes | {"depth": 1, "positions": 18, "norm": "layer_norm", "feedforward": "gelu", "tied": True,
                                          "biases": False}, None,
        """vocab 31, width 24, depth 1, heads 3 (key width 8), hidden 40: layer_norm (1e-5) with bias, a learned table of 18
        positions added to the embeddings, causal attention, gelu mlp, no biases in linears (without rope a key's bias has no
        gradient but rounding, which AdamW would follow), head tied to the embedding.""")
    make_huggingface_gpt2()
    make_huggingface_llama()
