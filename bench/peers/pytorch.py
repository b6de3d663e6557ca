# SPDX-License-Identifier: MIT
"""Times PyTorch on what the bench executables time: the same rows, their names after `pytorch/`.

    taskset -c 1 python3 bench/peers/pytorch.py [--filter REGEX] [--seconds S] [--way WAY] [--json FILE]

float32, eager, one thread (--threads changes it). A row runs for about S seconds (default 1) and at least 5 times; the median is
reported. GFLOP/s count what the formula needs, as in bench/: 2mnk for a product; 4 n^2 d for attention, of which causal counts the
visible half, and 2.5 times that for its backward; for a training step 6 x multiplied weights x tokens plus attention. Decoding
counts the bytes of the weights. The models and steps are formwork's, written as a PyTorch user would: (out x in) weights by
nn.Linear, scaled_dot_product_attention, clip_grad_norm_, fused AdamW. --way compiled runs what torch.compile can speed up
through it (needs a C++ compiler), FlexAttention for a softcapped forward; --way keeping only the rows for which an allocator that
keeps memory matters: who calls sets it up, by glibc's MALLOC_ variables.
"""
import argparse
import json
import math
import re
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


# ---------------------------------------------------------------------------------------------------- models


def rope_table(length, width, base=10000.0):
    angle = torch.outer(torch.arange(length).double(), base ** (-torch.arange(0, width, 2).double() / width))
    return torch.cos(angle).float(), torch.sin(angle).float()


def rotate(x, cos, sin):
    """x (batch, heads, tokens, width), pairs (i, i + width / 2)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Attention(nn.Module):
    def __init__(self, width, heads, bias, rotary):
        super().__init__()
        self.heads, self.rotary = heads, rotary
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, x, cache=None, at=0):
        batch, tokens, width = x.shape
        q, k, v = (t.view(batch, tokens, self.heads, -1).transpose(1, 2) for t in self.qkv(x).split(width, dim=2))
        cos, sin = (t[at : at + tokens] for t in self.rotary)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            keys, values = cache
            keys[:, :, at : at + tokens], values[:, :, at : at + tokens] = k, v
            k, v = keys[:, :, : at + tokens], values[:, :, : at + tokens]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
        return self.output(y.transpose(1, 2).reshape(batch, tokens, width))


class Mlp(nn.Module):
    def __init__(self, width, hidden, bias):
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden, bias=bias), nn.Linear(hidden, width, bias=bias)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


class GatedMlp(nn.Module):
    def __init__(self, width, hidden, bias):
        super().__init__()
        self.gate, self.up = nn.Linear(width, hidden, bias=bias), nn.Linear(width, hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    def __init__(self, norm, attention, feedforward):
        super().__init__()
        self.norm1, self.attention, self.norm2, self.feedforward = norm(), attention, norm(), feedforward

    def forward(self, x, cache=None, at=0):
        x = x + self.attention(self.norm1(x), cache, at)
        return x + self.feedforward(self.norm2(x))


class Gpt(nn.Module):
    """Rotary positions; GPT-2's shape (layer_norm, gelu, biases, tied head) or the char model's (rms_norm, gated silu, own head)."""

    def __init__(self, vocab, width, depth, heads, length, gpt2):
        super().__init__()
        rotary = rope_table(length, width // heads)
        hidden = 4 * width if gpt2 else (8 * width // 3 + 31) // 32 * 32
        norm = (lambda: nn.LayerNorm(width)) if gpt2 else (lambda: nn.RMSNorm(width, eps=1e-6))
        feedforward = Mlp if gpt2 else GatedMlp
        self.embedding = nn.Embedding(vocab, width)
        self.blocks = nn.ModuleList(
            Block(norm, Attention(width, heads, gpt2, rotary), feedforward(width, hidden, gpt2)) for _ in range(depth))
        self.norm = norm()
        self.head = nn.Linear(width, vocab, bias=False)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)
        if gpt2:
            self.head.weight = self.embedding.weight

    def forward(self, tokens, caches=None, at=0):
        x = self.embedding(tokens)
        for i, block in enumerate(self.blocks):
            x = block(x, None if caches is None else caches[i], at)
        return self.head(self.norm(x))

    def multiplied_weights(self):
        return sum(m.weight.numel() for m in self.modules() if isinstance(m, nn.Linear))


# ---------------------------------------------------------------------------------------------------- rows


def attention_flops(n, d, causal):
    return 4.0 * n * d * ((n + 1) / 2 if causal else n)


def product(kind, m, n, k):
    a, b, c = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
    if kind == "nt":
        b = b.t().contiguous().t()
    if kind == "tn":
        a = a.t().contiguous().t()
    return {"flops": 2.0 * m * n * k}, lambda: torch.mm(a, b, out=c)


def attend(backward, causal, n, d):
    q, k, v = (torch.randn(1, 1, n, d, requires_grad=backward) for _ in range(3))
    flops = attention_flops(n, d, causal)
    if not backward:
        return {"flops": flops}, lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    dy = torch.randn_like(y)
    return {"flops": 2.5 * flops}, lambda: torch.autograd.grad(y, (q, k, v), dy, retain_graph=True)


CAP, WIDTH = 30.0, 256
SCORES = {  # of eager tensors (scores, distance i - j, head, numbers), and of FlexAttention
    "softcap:8": lambda s, distance, head, numbers: CAP * torch.tanh(s / CAP),
    "alibi:8": lambda s, distance, head, slopes: s - slopes[head] * distance,
    "t5:8": lambda s, distance, head, biases: s + biases[head, distance.clamp(min=0)],
    "sliding_window:256": lambda s, distance, head, numbers: s,
}


def t5_buckets(n, buckets=32, longest=128):
    """Of causal distances 0 .. n - 1: half of them single, the others growing."""
    distance, single = torch.arange(n), buckets // 2
    grown = single + (torch.log(distance.clamp(min=1) / single) / math.log(longest / single) * (buckets - single)).long()
    return torch.where(distance < single, distance, grown.clamp(max=buckets - 1))


def variant(kind, backward, n, d, compiled):
    """Causal attention with another score or mask: by FlexAttention where it is compiled and nothing but the forward is asked for,
    else with all scores at once."""
    window = kind.startswith("sliding")
    heads = 1 if window else 8
    q, k, v = (torch.randn(1, heads, n, d, requires_grad=backward) for _ in range(3))
    numbers = 2.0 ** (-torch.arange(1.0, heads + 1) * 8 / heads)
    leaves = (q, k, v)
    if kind == "t5:8":
        table, buckets = torch.randn(heads, 32, requires_grad=backward), t5_buckets(n)
        leaves = (q, k, v, table)
    flops = 4.0 * d * WIDTH * (n - WIDTH / 2) if window else heads * attention_flops(n, d, True)
    if compiled and not backward:
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention
        seen = (lambda b, h, i, j: (i >= j) & (i - j < WIDTH)) if window else (lambda b, h, i, j: i >= j)
        mask = create_block_mask(seen, None, None, n, n, device="cpu")
        if kind == "t5:8":
            numbers = table[:, buckets]
        score = None if window else lambda s, b, h, i, j: SCORES[kind](s, i - j, h, numbers)
        flex = torch.compile(flex_attention, dynamic=False)  # dynamic shapes of a second score do not compile (2.15)
        return {"flops": flops}, lambda: flex(q, k, v, score_mod=score, block_mask=mask)
    distance = torch.arange(n)[:, None] - torch.arange(n)
    hidden = (distance < 0) | (distance >= (WIDTH if window else n))

    head = torch.arange(heads)[:, None, None]

    def forward(q, k, v, *table):
        scores = SCORES[kind](q @ k.transpose(2, 3) * d**-0.5, distance, head, table[0][:, buckets] if table else numbers)
        return torch.softmax(scores.masked_fill(hidden, -math.inf), dim=-1) @ v

    run = torch.compile(forward) if compiled else forward
    if not backward:
        return {"flops": flops}, lambda: run(*leaves)
    dy = torch.randn(1, heads, n, d)
    return {"flops": 3.5 * flops}, lambda: torch.autograd.grad(run(*leaves), leaves, dy)


def talking_heads(backward, causal, heads, n, d):
    """Shazeer et al.'s einsum form: all scores of all heads at once."""
    q, k, v = (torch.randn(1, n, heads, d, requires_grad=backward) for _ in range(3))
    score_mix, weight_mix = (torch.randn(heads, heads, requires_grad=backward) for _ in range(2))
    dy = torch.randn(1, n, heads, d)
    hidden = torch.ones(n, n, dtype=torch.bool).triu(1) if causal else None
    pairs = n * ((n + 1) / 2 if causal else n)
    products, mixes = 4.0 * heads * d * pairs, 4.0 * heads * heads * pairs

    def forward():
        scores = torch.einsum("bhnm,hl->blnm", torch.einsum("bnad,bmad->banm", q / math.sqrt(d), k), score_mix)
        if causal:
            scores = scores.masked_fill(hidden, -math.inf)
        weights = torch.einsum("bhnm,ho->bonm", torch.softmax(scores, dim=-1), weight_mix)
        return torch.einsum("bonm,bmod->bnod", weights, v)

    if not backward:
        return {"flops": products + mixes}, forward
    leaves = (q, k, v, score_mix, weight_mix)
    return {"flops": 3.5 * products + 4 * mixes}, lambda: torch.autograd.grad(forward(), leaves, dy)


def linear_attention_chunked(q, k, v, chunk):
    """Causal linear attention with elu + 1, q, k, v (heads, tokens, width): all chunks at once, their sums by cumsum."""
    heads, n, d = q.shape
    q, k = (F.elu(x).add(1).view(heads, n // chunk, chunk, d) for x in (q, k))
    v = v.view(heads, n // chunk, chunk, d)
    sums, key_sums = (F.pad(x.cumsum(1)[:, :-1], (0, 0, 0, 0, 1, 0)) for x in (k.transpose(2, 3) @ v, k.sum(2, keepdim=True)))
    scores = (q @ k.transpose(2, 3)).tril()
    denominator = scores.sum(3, keepdim=True) + q @ key_sums.transpose(2, 3)
    return ((scores @ v + q @ sums) / denominator).view(heads, n, d)


def linear_attend(backward, n, chunk=64, heads=8, d=64, counted_chunk=48):
    """Counted as bench/kernel/linear_attend_bench.cpp counts; the chunk is the fastest of 32, 64, 128 here."""
    q, k, v = (torch.randn(heads, n, d, requires_grad=backward) for _ in range(3))
    forward = n * heads * (4.0 * d * d + 2 * (counted_chunk + 1) * d)
    if not backward:
        return {"flops": forward}, lambda: linear_attention_chunked(q, k, v, chunk)
    dy = torch.randn(heads, n, d)
    flops = forward + n * heads * (10.0 * d * d + 5 * (counted_chunk + 1) * d)
    return {"flops": flops}, lambda: torch.autograd.grad(linear_attention_chunked(q, k, v, chunk), (q, k, v), dy)


def train_step(gpt2, batch, length, vocab, width, depth, heads, compiled):
    model = Gpt(vocab, width, depth, heads, length, gpt2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    tokens, targets = torch.randint(vocab, (2, batch, length))
    attention = 3.5 * depth * heads * batch * attention_flops(length, width // heads, True)
    work = {"flops": 6.0 * model.multiplied_weights() * batch * length + attention, "tokens": batch * length}
    run = torch.compile(model) if compiled else model

    def step():
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(run(tokens).view(-1, vocab), targets.view(-1)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return work, step


def decode(vocab, width, depth, heads, cached, compiled):
    model = Gpt(vocab, width, depth, heads, cached + 1, gpt2=True).eval()
    caches = [tuple(torch.randn(1, heads, cached + 1, width // heads) for _ in "kv") for _ in range(depth)]
    token = torch.randint(vocab, (1, 1))
    work = {"bytes": 4.0 * model.multiplied_weights(), "tokens": 1}
    run = torch.compile(model) if compiled else model

    def step():
        with torch.inference_mode():
            return run(token, caches, cached).argmax()

    return work, step


def s4d(backward, length, batch=4, channels=256, modes=32):
    """The Vandermonde kernel and its convolution by FFT, as the published minimal S4D does them; x is (batch, channels, length)."""
    log_step = torch.empty(channels).uniform_(-6.907755, -2.302585)
    c = torch.randn(channels, modes, 2) * 0.5**0.5
    log_a_real = torch.full((channels, modes), 0.5).log()
    a_imag = torch.pi * torch.arange(modes).repeat(channels, 1).float()
    d, u = torch.randn(channels), torch.randn(batch, channels, length)
    leaves = (log_step, c, log_a_real, a_imag, d, u)
    dy = torch.randn_like(u)
    for x in leaves:
        x.requires_grad_(backward)

    def forward():
        step, a = torch.exp(log_step), -torch.exp(log_a_real) + 1j * a_imag
        z = a * step[:, None]
        vandermonde = torch.exp(z[:, :, None] * torch.arange(length))
        kernel = 2 * torch.einsum("hn,hnl->hl", torch.view_as_complex(c) * (torch.exp(z) - 1) / a, vandermonde).real
        spectrum = torch.fft.rfft(kernel, n=2 * length) * torch.fft.rfft(u, n=2 * length)
        return torch.fft.irfft(spectrum, n=2 * length)[..., :length] + d[:, None] * u

    # The operations of the chunked form, as bench/ssm/s4d_bench.cpp counts them.
    chunk, carry = 16, 2 * modes
    operations = 2 * (2 * carry + 2 * carry / chunk + (chunk + 1) / 2)
    if backward:
        operations += 2 * (5 * carry + 6 * carry / chunk + chunk + 1)
    work = {"flops": operations * batch * length * channels, "tokens": batch * length}
    return work, (lambda: torch.autograd.grad(forward(), leaves, dy)) if backward else forward


def newton_schulz(x):
    """Muon's five iterations in float32, on the wide side, each in three products with what is added to them."""
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = x if x.shape[0] <= x.shape[1] else x.t()
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(5):
        gram = wide @ wide.t()
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide if x.shape[0] <= x.shape[1] else wide.t()


def newton_schulz_flops(rows, columns):
    small, large = min(rows, columns), max(rows, columns)
    return 5 * 2.0 * small * small * (2 * large + small)


def orthogonalize(rows, columns):
    x = torch.rand(rows, columns) * 2 - 1
    return {"flops": newton_schulz_flops(rows, columns)}, lambda: newton_schulz(x)


def muon_step(shapes):
    """(in x out) weights as formwork has them; rate 0.02, momentum 0.95, decay 0.1."""
    weights = [tuple(torch.rand(s) * 2 - 1 for _ in range(2)) + (torch.zeros(s),) for count, s in shapes for _ in range(count)]

    def step():
        for value, gradient, momentum in weights:
            momentum.mul_(0.95).add_(gradient)
            sign = newton_schulz(gradient.add(momentum, alpha=0.95))
            value.mul_(1 - 0.02 * 0.1).add_(sign, alpha=-0.02 * max(1, value.shape[1] / value.shape[0]) ** 0.5)

    return {"flops": sum(count * newton_schulz_flops(*s) for count, s in shapes)}, step


def legt_step(order, window):
    """LegT's bilinear step of time 1: x becomes x a + u b, for states (channels x order)."""
    n = torch.arange(order).double()
    r = torch.sqrt(2 * n + 1)
    sign = torch.where(n[:, None] > n[None, :], 1.0, (-1.0) ** (n[:, None] - n[None, :]))
    a, one = -torch.outer(r, r) * sign / window, torch.eye(order).double()
    left = one - a / 2
    step = torch.linalg.solve(left, one + a / 2), torch.linalg.solve(left, 2**0.5 * r / window)
    return step[0].t().contiguous().float(), step[1][None].float()


def hippo(train, length, order=64, width=256):
    """The memory's walk, a product a step; in training with a learned reading c, d and output."""
    a, b = legt_step(order, 256.0)
    c, d, out = (torch.randn(*shape, requires_grad=True) for shape in ((width, order), (1, width), (width, width)))
    u = torch.randn(length, width, requires_grad=train)
    walk = 2.0 * length * width * order * order
    if not train:

        def feed():
            x = torch.zeros(width, order)
            for k in range(length):
                x = torch.addcmul(x @ a, u[k, :, None], b)
            return x

        return {"flops": walk, "tokens": length}, feed

    def step():
        x, y = torch.zeros(width, order), []
        for k in range(length):
            x = torch.addcmul(x @ a, u[k, :, None], b)
            y.append((x * c).sum(1))
        ((torch.stack(y) + d * u) @ out).mean().backward()

    return {"flops": 3 * walk + length * width * (6.0 * order + 6.0 * width), "tokens": length}, step


def rows(compiled):
    """Name, what makes it, and the ways it is worth timing in beside eager."""
    for length in (1024, 4096):  # 16384 needs more than 8 GB
        for backward in (False, True):
            yield (f"s4d/forward{'_backward' if backward else ''}/h:256/n:64/b:4/l:{length}",
                   lambda backward=backward, length=length: s4d(backward, length))
    for kind in ("nn", "nt", "tn"):
        for n in (256, 512, 1024):
            yield f"product/{kind}/{n}", lambda kind=kind, n=n: product(kind, n, n, n)
        for m, n, k in ((1024, 3072, 768), (1024, 768, 3072), (16, 768, 768), (64, 768, 768)):
            yield f"product/{kind}/{m}x{n}x{k}", lambda kind=kind, m=m, n=n, k=k: product(kind, m, n, k)
    for backward in (False, True):
        for causal in (False, True):
            for n in (1024, 4096):
                name = f"attend/{'backward' if backward else 'forward'}/{'causal' if causal else 'full'}/n:{n}/d:64"
                yield name, lambda backward=backward, causal=causal, n=n: attend(backward, causal, n, 64)
    for backward in (False, True):
        for kind in ("softcap:8", "alibi:8", "t5:8"):
            name = f"attend/forward{'_backward' if backward else ''}/causal/{kind}/n:2048/d:64"
            yield name, lambda kind=kind, backward=backward: variant(kind, backward, 2048, 64, compiled), ("compiled",)
    yield "attend/forward/sliding_window:256/n:16384/d:64", lambda: variant("sliding_window:256", False, 16384, 64, compiled), ("compiled",)
    for backward in (False, True):
        for causal in (True, False):
            for n in (1024, 2048, 4096):
                name = f"talking_heads/forward{'_backward' if backward else ''}/{'causal' if causal else 'full'}/h:8/n:{n}/d:64"
                yield name, lambda backward=backward, causal=causal, n=n: talking_heads(backward, causal, 8, n, 64)
        for n in (1024, 4096, 16384, 65536):
            name = f"linear_attend/{'forward_backward' if backward else 'forward'}/causal/heads:8/n:{n}/d:64"
            yield name, lambda backward=backward, n=n: linear_attend(backward, n)
    for shape in ((768, 768), (768, 3072), (3072, 768)):
        yield "orthogonalize/%dx%d" % shape, lambda shape=shape: orthogonalize(*shape)
    yield "muon_step/24x768x768_12x768x3072", lambda: muon_step([(24, (768, 768)), (12, (768, 3072))])
    yield "hippo/feed/legt_bilinear/N:64/channels:256", lambda: hippo(False, 64)
    yield "hippo/train/legt/L:1024/N:64/width:256", lambda: hippo(True, 1024)
    yield "train_step/gpt2_124m/b4_t64", lambda: train_step(True, 4, 64, 50257, 768, 12, 12, compiled), ("keeping", "compiled")
    yield "train_step/char/w256_d6_h8_t256_b16", lambda: train_step(False, 16, 256, 256, 256, 6, 8, compiled), ("keeping", "compiled")
    yield "decode/gpt2_124m", lambda: decode(50257, 768, 12, 12, 512, compiled), ("compiled",)


def measure(step, seconds):
    """Median seconds of one call; short calls are timed several together, a few milliseconds at a time."""
    for _ in range(3):
        begin = time.perf_counter()
        step()
        once = time.perf_counter() - begin
    inner = max(1, round(4e-3 / once))
    samples = []
    begin = time.perf_counter()
    while len(samples) < 5 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        for _ in range(inner):
            step()
        samples.append((time.perf_counter() - start) / inner)
    return statistics.median(samples)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--filter", default="", help="only rows whose name (pytorch/...) matches this regular expression")
    options.add_argument("--seconds", type=float, default=1.0, help="time spent on a row")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--way", choices=("eager", "keeping", "compiled"), default="eager")
    options.add_argument("--list", action="store_true", help="print the names of the rows and end")
    options.add_argument("--json", help="also write the rows there")
    given = options.parse_args()
    compiled = given.way == "compiled"
    if given.list:
        print("\n".join(name for name, *_ in rows(compiled)))
        return
    torch.set_num_threads(given.threads)
    torch.set_num_interop_threads(1)
    torch.manual_seed(1)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} thread(s), {torch.backends.cpu.get_cpu_capability()}"
          f"{', torch.compile' if compiled else ''}")
    results = {}
    for path, make, *ways in rows(compiled):
        name = "pytorch/" + path
        if not re.search(given.filter, name) or (given.way != "eager" and given.way not in (ways or [()])[0]):
            continue
        work, step = make()
        seconds = measure(step, given.seconds)
        result = {"ms": seconds * 1e3}
        for key, unit in (("flops", "GFLOP/s"), ("bytes", "GB/s")):
            if key in work:
                result[unit] = work[key] / seconds * 1e-9
        if "tokens" in work:
            result["tokens/s"] = work["tokens"] / seconds
        results[name] = result
        print(f"{name:<52}" + "".join(f"{value:>12.4g} {unit}" for unit, value in result.items()), flush=True)
    if given.json:
        with open(given.json, "w", encoding="utf-8") as out:
            json.dump(results, out, indent=1)


if __name__ == "__main__":
    main()
