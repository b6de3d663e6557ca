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
import math
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent


# ---------------------------------------------------------------------------------------------------- the formulas


def identity(x):
    return x


def gelu(x):
    """x Phi(x), with Phi by erfc so that the negative tail keeps its digits."""
    return 0.5 * x * torch.special.erfc(-x / math.sqrt(2))


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
    agree(tensors["gelu.output.y"], F.gelu(x)[None, :], "gelu")
    agree(tensors["silu.output.y"], F.silu(x)[None, :], "silu")
    write("activations", tensors, "elementwise: gelu x Phi(x) (exact), silu x / (1 + exp(-x)), relu2 max(x, 0)^2.")


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


if __name__ == "__main__":
    make_attention()
    make_norms()
    make_activations()
    make_rope()
    make_cross_entropy()
    make_mlp()
    make_update()
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
