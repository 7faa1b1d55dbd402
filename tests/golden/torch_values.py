#!/usr/bin/env python3
"""Outputs and gradients of operations, encoders and fusions by PyTorch, for tests/unit/test_torch_*.c.

    apt-get install --no-install-recommends python3-torch python3-numpy    (for this script alone)
    /usr/bin/python3 tests/golden/torch_values.py > tests/golden/torch_values.txt

Made with Debian 12's packages: Python 3.11.2, python3-torch 1.13.1+dfsg-4 (which calls itself 1.13.0a0), python3-numpy
1.24.2; in float64, on the CPU, one thread.

Written from the headers' equations and the papers with torch.nn's modules, not from the C. Neither inputs nor
parameters are stored: value() below and torch_fill() in tests/support/torch_values.c make the same numbers, which
a float holds exactly, from the names. So parameters have *our* names and layouts here, and where torch lays them
out otherwise the expression handed to bind() says how; gradients go back through that expression.

Of each case: its output [B, ...]; the norm of each sample's gradient over all parameters; and the sum over samples
of each parameter's gradient. The loss of a sample is the sum of its outputs times fixed numbers ("projection").
A parameter that is added to an input, alike for all samples, has the gradient of that input.
"""
import math
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

B = 3
MASK = 0xFFFFFFFF


def value(name, n):
    """n numbers in [-1, 1), multiples of 2^-23: 32-bit FNV-1a of the name, then MurmurHash3's finaliser."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = (seed ^ byte) * 0x01000193 & MASK
    h = (seed + np.arange(n, dtype=np.uint64) * 0x9E3779B9) & MASK
    h = (h ^ (h >> 16)) * 0x85EBCA6B & MASK
    h = (h ^ (h >> 13)) * 0xC2B2AE35 & MASK
    h ^= h >> 16
    return (h >> 8).astype(np.float64) / 2.0**23 - 1.0


class Case:
    def __init__(self, name):
        self.name, self.leaf, self.bound = name, {}, []
        print("case", name)

    def data(self, name, *shape):
        return torch.tensor(value(f"{self.name}/{name}", math.prod(shape))).reshape(shape)

    def param(self, name, *shape):
        p = (self.data(name, *shape) / 2).requires_grad_()
        self.leaf[name] = p
        return p

    def input(self, name, *shape):
        """[B, *shape], whose gradient is that of a parameter."""
        return self.data(f"{name}.data", B, *shape) + self.param(name, *shape)

    def linear(self, name, o, i):
        return self.param(f"{name}.weight", o, i), self.param(f"{name}.bias", o)

    def norm(self, name, d):
        return self.param(f"{name}.gain", d), self.param(f"{name}.shift", d)

    def bind(self, module, values):
        """The module with these values of its parameters, all of them, in torch's names and layouts."""
        theirs = dict(module.named_parameters())
        assert set(theirs) == set(values), set(theirs) ^ set(values)
        for name, p in theirs.items():
            assert p.shape == values[name].shape, (name, p.shape, values[name].shape)
            p.data.copy_(values[name].detach())
            if values[name].requires_grad:
                self.bound.append((p, values[name]))
        return module

    def gradient(self, loss):
        """d loss / d leaf: straight, and through what was bound."""
        leaves = list(self.leaf.values())
        theirs = torch.autograd.grad(loss, leaves + [p for p, _ in self.bound], retain_graph=True, allow_unused=True)
        total = [torch.zeros_like(p) if g is None else g for p, g in zip(leaves, theirs)]
        for g, (_, ours) in zip(theirs[len(leaves):], self.bound):
            if g is None:
                continue
            back = torch.autograd.grad(ours, leaves, g, retain_graph=True, allow_unused=True)
            total = [a if b is None else a + b for a, b in zip(total, back)]
        return total

    def write(self, output):
        assert output.shape[0] == B and torch.isfinite(output).all()
        self.numbers("output", output)
        projected = (output * self.data("projection", *output.shape)).reshape(B, -1).sum(1)
        each = [self.gradient(p) for p in projected]
        self.numbers("norms", torch.stack([torch.cat([g.reshape(-1) for g in gs]).norm() for gs in each]))
        for i, name in enumerate(self.leaf):
            self.numbers(name, sum(gs[i] for gs in each))
        print("end")

    @staticmethod
    def numbers(name, x):
        x = x.detach().reshape(-1).tolist()
        print(name, len(x))
        for i in range(0, len(x), 8):
            print(*("%.12g" % v for v in x[i:i + 8]))


# ---- operations ------------------------------------------------------------------------------------------------

def linear():
    c = Case("linear")
    w, b = c.linear("l", 4, 5)
    c.write(c.bind(nn.Linear(5, 4), {"weight": w, "bias": b})(c.input("x", 2, 5)))


def layer_norm():
    c = Case("layer_norm")
    gain, shift = c.norm("n", 5)
    c.write(c.bind(nn.LayerNorm(5), {"weight": gain, "bias": shift})(c.input("x", 2, 5)))


def channels_first(x):
    """Ours have channels last: [B, H, W, C] or [B, T, C]."""
    return x.movedim(-1, 1)


def channels_last(x):
    return x.movedim(1, -1)


def conv2d_weight(w, height, width):
    """Ours [O, height*width*C], torch's [O, C, height, width]."""
    return w.reshape(w.shape[0], height, width, -1).permute(0, 3, 1, 2)


def conv1d_weight(w, size):
    """Ours [O, size*C], torch's [O, C, size]."""
    return w.reshape(w.shape[0], size, -1).permute(0, 2, 1)


def group_norm():
    c = Case("group_norm")
    gain, shift = c.norm("n", 6)
    m = c.bind(nn.GroupNorm(3, 6), {"weight": gain, "bias": shift})
    c.write(channels_last(m(channels_first(c.input("x", 4, 2, 6)))))


def conv2d():
    c = Case("conv2d")
    m = c.bind(nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False),
               {"weight": conv2d_weight(c.param("w", 4, 18), 3, 3)})
    c.write(channels_last(m(channels_first(c.input("x", 5, 6, 2)))))


def depthwise():
    c = Case("depthwise")
    w = c.param("w", 3, 9).reshape(3, 1, 3, 3)  # a window for each channel
    m = c.bind(nn.Conv2d(3, 3, 3, stride=2, padding=1, groups=3, bias=False), {"weight": w})
    c.write(channels_last(m(channels_first(c.input("x", 5, 6, 3)))))


def conv1d():
    c = Case("conv1d")
    m = c.bind(nn.Conv1d(2, 4, 3, dilation=2, bias=False), {"weight": conv1d_weight(c.param("w", 4, 6), 3)})
    c.write(channels_last(m(F.pad(channels_first(c.input("x", 7, 2)), (4, 0)))))  # sees no future


def weight_norm_conv(c, name, in_, out, size, dilation):
    """With torch's own weight norm: direction weight_v [O, C, size], gain weight_g [O, 1, 1]."""
    v, g = c.param(f"{name}.direction", out, size * in_), c.param(f"{name}.gain", out)
    m = nn.utils.weight_norm(nn.Conv1d(in_, out, size, dilation=dilation))
    return c.bind(m, {"weight_v": conv1d_weight(v, size), "weight_g": g.reshape(-1, 1, 1),
                      "bias": c.param(f"{name}.bias", out)})


def conv1d_weight_norm():
    c = Case("conv1d_weight_norm")
    m = weight_norm_conv(c, "w", 2, 4, 3, 2)
    c.write(channels_last(m(F.pad(channels_first(c.input("x", 7, 2)), (4, 0)))))


def pools():
    for name, m in (("max_pool", nn.MaxPool2d(2, stride=2)), ("average_pool", nn.AvgPool2d(3, stride=1))):
        c = Case(name)
        c.write(channels_last(m(channels_first(c.input("x", 4, 6, 2)))))


def activations():
    for name, m in (("relu", nn.ReLU()), ("gelu", nn.GELU()), ("tanh", nn.Tanh()),
                    ("sigmoid", nn.Sigmoid()), ("softmax", nn.Softmax(dim=-1))):
        c = Case(name)
        c.write(m(4 * c.input("x", 2, 5)))


def sequences(module, x, length):
    """Every state [B, T, H] of a recurrent module, each sample by itself; 0 from its length on."""
    rows = []
    for b, n in enumerate(length):
        h = module(x[b:b + 1, :n])[0][0] if n > 0 else x.new_zeros(0, module.hidden_size)
        rows.append(F.pad(h, (0, 0, 0, x.shape[1] - n)))
    return torch.stack(rows)


def lstm_values(w, b, D, layer=0):
    """Gates i, f, g, o in both. Ours has [W U] in one and one bias: torch's second is 0."""
    return {f"weight_ih_l{layer}": w[:, :D], f"weight_hh_l{layer}": w[:, D:], f"bias_ih_l{layer}": b,
            f"bias_hh_l{layer}": torch.zeros_like(b).detach()}


def gru_values(w, b, u, d, layer=0):
    """Gates r, z, n in both, and both have the reset gate outside of U h + d."""
    return {f"weight_ih_l{layer}": w, f"bias_ih_l{layer}": b, f"weight_hh_l{layer}": u, f"bias_hh_l{layer}": d}


LENGTH = (3, 5, 0)


def lstm():
    c = Case("lstm")
    m = c.bind(nn.LSTM(2, 4, batch_first=True), lstm_values(c.param("w", 16, 6), c.param("b", 16), 2))
    c.write(sequences(m, c.input("x", 5, 2), LENGTH))


def gru():
    c = Case("gru")
    m = c.bind(nn.GRU(2, 4, batch_first=True),
               gru_values(c.param("w", 12, 2), c.param("b", 12), c.param("u", 12, 4), c.param("d", 12)))
    c.write(sequences(m, c.input("x", 5, 2), LENGTH))


def attention_values(c, prefix, D):
    """Ours are three maps, torch's one above the other."""
    q, k, v = (c.linear(f"{prefix}{n}", D, D) for n in ("query", "key", "value"))
    w, b = c.linear(f"{prefix}out", D, D)
    return {"in_proj_weight": torch.cat([q[0], k[0], v[0]]), "in_proj_bias": torch.cat([q[1], k[1], v[1]]),
            "out_proj.weight": w, "out_proj.bias": b}


def attention():
    c = Case("attention")
    m = c.bind(nn.MultiheadAttention(6, 2, batch_first=True), attention_values(c, "", 6))
    key = torch.tensor([[1, 1, 0, 1], [0, 0, 1, 0], [1, 1, 1, 1]], dtype=torch.bool)
    y = c.input("y", 4, 6)
    c.write(m(c.input("x", 3, 6), y, y, key_padding_mask=~key)[0])


CODES = torch.tensor([[3, 1, -1, 3, 7], [10, 0, 2, 2, 2], [-1, -1, -1, -1, -1]])


def embedded(c, V, D):
    """[B, T, D]; padding is 0, and has no gradient."""
    m = c.bind(nn.Embedding(V, D), {"weight": c.param("table", V, D)})
    return m(CODES.clamp(min=0)) * (CODES >= 0).unsqueeze(-1)


def embedding():
    c = Case("embedding")
    c.write(embedded(c, 11, 3))


def losses():
    label = torch.tensor([1.0, 0.0, 1.0])
    c = Case("bce")
    c.write(F.binary_cross_entropy_with_logits(c.input("x", 1).squeeze(1), label, reduction="none").unsqueeze(1))

    c = Case("multilabel")
    y = torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 0], [1, 0, 0, 1]])
    known = torch.tensor([[1.0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]])
    each = F.binary_cross_entropy_with_logits(c.input("x", 4), y, weight=known, reduction="none").sum(1)
    c.write((each / known.sum(1).clamp(min=1)).unsqueeze(1))  # the mean over those that are known

    c = Case("cross_entropy")
    which = torch.tensor([2, 0, -1])
    c.write(F.cross_entropy(c.input("x", 4), which, ignore_index=-1, reduction="none").unsqueeze(1))

    c = Case("focal")  # Lin et al. 2017, eq. 5, as it stands there
    p = torch.sigmoid(3 * c.input("x", 1).squeeze(1))
    p_t = torch.where(label == 1, p, 1 - p)
    alpha_t = torch.where(label == 1, 0.25, 0.75)
    c.write((-alpha_t * (1 - p_t)**2.0 * torch.log(p_t)).unsqueeze(1))


# ---- encoders --------------------------------------------------------------------------------------------------

V, T, WIDTH = 2, 5, 4


def series(c):
    """Values, seen or not, time since last seen, side by side. Seen is any number here."""
    return torch.cat([c.data(n, B, T, V) for n in ("values", "seen", "since")], -1)


def last(h, length):
    return torch.stack([row[n - 1] if n > 0 else 0 * row[0] for row, n in zip(h, length)])


def gru_encoder():
    c = Case("gru_encoder")
    values = {}
    for i, D in enumerate((3 * V, WIDTH)):
        w, b = c.linear(f"e.gru{i}.in", 3 * WIDTH, D)
        u, d = c.linear(f"e.gru{i}.state", 3 * WIDTH, WIDTH)
        values.update(gru_values(w, b, u, d, i))
    m = c.bind(nn.GRU(3 * V, WIDTH, num_layers=2, batch_first=True), values)
    c.write(last(sequences(m, series(c), LENGTH), LENGTH))


def lstm_encoder():
    c = Case("lstm_encoder")
    values = {}
    for i, D in enumerate((3 * V, WIDTH)):
        values.update(lstm_values(*c.linear(f"e.lstm{i}.gates", 4 * WIDTH, D + WIDTH), D, i))
    m = c.bind(nn.LSTM(3 * V, WIDTH, num_layers=2, batch_first=True), values)
    c.write(last(sequences(m, series(c), LENGTH), LENGTH))


def summary_encoder():
    """What is seen of each variable, in the order of time: its first, last, least and largest value, mean and
    (biased) deviation, and the share of the steps; the statistics of a variable side by side. They are inputs, and
    as such floats."""
    c = Case("summary_encoder")
    values, seen = (c.data(n, B, T, V) for n in ("values", "seen"))
    rows = []
    for b, n in enumerate(LENGTH):
        row = []
        for v in range(V):
            x = values[b, :n, v][seen[b, :n, v] > 0]
            row += [x[0], x[-1], x.min(), x.max(), x.mean(), x.std(unbiased=False), torch.tensor(len(x) / n)] \
                if len(x) > 0 else [torch.tensor(0.0)] * 7
        rows.append(torch.stack(row))
    m = nn.Sequential(nn.Linear(7 * V, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
    names = ("0.weight", "0.bias", "2.weight", "2.bias")
    m = c.bind(m, dict(zip(names, (*c.linear("e.in", WIDTH, 7 * V), *c.linear("e.out", WIDTH, WIDTH)))))
    c.write(m(torch.stack(rows).float().double()))


HEADS, HIDDEN, LAYERS = 2, 5, 2


def transformer(c, norm_first):
    """Vaswani et al. 2017 with relu, or norms in front and GELU."""
    values = {}
    for i in range(LAYERS):
        at = f"e.block{i}."
        own = {f"self_attn.{k}": v for k, v in attention_values(c, at, WIDTH).items()}
        for theirs, ours, o, n in (("linear1", "up", HIDDEN, WIDTH), ("linear2", "down", WIDTH, HIDDEN)):
            own[f"{theirs}.weight"], own[f"{theirs}.bias"] = c.linear(at + ours, o, n)
        for name in ("norm1", "norm2"):
            own[f"{name}.weight"], own[f"{name}.bias"] = c.norm(at + name, WIDTH)
        values.update({f"layers.{i}.{k}": v for k, v in own.items()})
    f = F.gelu if norm_first else F.relu
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, dropout=0.0, activation=f, batch_first=True,
                                       norm_first=norm_first)
    return c.bind(nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False), values)


def sinusoids(n, D):
    """Vaswani et al. 2017, 3.5: PE(pos, 2i) = sin(pos / 10000^(2i/D)), PE(pos, 2i + 1) its cosine."""
    pe = torch.zeros(n, D)
    for pos in range(n):
        for i in range(0, D, 2):
            pe[pos, i] = math.sin(pos / 10000**(i / D))
            if i + 1 < D:
                pe[pos, i + 1] = math.cos(pos / 10000**(i / D))
    return pe


def mean_of_what_is_there(body, x, there):
    """Each sample by itself; one of which nothing is there has 0 (torch has NaN)."""
    rows = []
    for b in range(B):
        if there[b].any():
            h = body(x[b:b + 1], src_key_padding_mask=~there[b:b + 1])[0]
            rows.append(h[there[b]].mean(0))
        else:
            rows.append(0 * x[b, 0])
    return torch.stack(rows)


def series_transformer():
    c = Case("series_transformer")
    body = transformer(c, norm_first=False)
    w, b = c.linear("e.in", WIDTH, 3 * V)
    x = c.bind(nn.Linear(3 * V, WIDTH), {"weight": w, "bias": b})(series(c))
    there = torch.arange(T) < torch.tensor(LENGTH).unsqueeze(1)
    c.write(mean_of_what_is_there(body, x + sinusoids(T, WIDTH), there))


def event_curve(c, name, x):
    """W2 tanh(W1 x + b1), x [B, T]; floor(sqrt(WIDTH)) hidden numbers."""
    w, b = c.linear(f"e.{name}.in", 2, 1)
    m = c.bind(nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, WIDTH, bias=False)),
               {"0.weight": w, "0.bias": b, "2.weight": c.param(f"e.{name}.out.weight", WIDTH, 2)})
    return m(x.unsqueeze(-1))


def event_transformer():
    """Tipirneni and Reddy 2022: triplets, a transformer, shares of a weighted sum."""
    c = Case("event_series")
    body = transformer(c, norm_first=False)
    variable = c.bind(nn.Embedding(11, WIDTH), {"weight": c.param("e.variable", 11, WIDTH)})
    x = variable(CODES.clamp(min=0)) + event_curve(c, "value", c.data("values", B, T))
    x = x + event_curve(c, "time", c.data("since", B, T))
    w, b = c.linear("e.share", 2 * WIDTH, WIDTH)
    share = c.bind(nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.Tanh(), nn.Linear(2 * WIDTH, 1, bias=False)),
                   {"0.weight": w, "0.bias": b, "2.weight": c.param("e.share.out.weight", 1, 2 * WIDTH)})
    rows = []
    for one, codes in zip(x, CODES):
        if (codes >= 0).any():
            h = body(one[None], src_key_padding_mask=(codes < 0)[None])[0][codes >= 0]
            rows.append((torch.softmax(share(h), 0) * h).sum(0))
        else:
            rows.append(0 * one[0])
    c.write(torch.stack(rows))


def feature_transformer():
    c = Case("feature_transformer")
    body = transformer(c, norm_first=True)
    x = c.data("values", B, 3)
    codes = torch.tensor([[1, 0], [2, 3], [0, 3]])
    there = torch.tensor([[1, 0, 1, 1, 1], [1, 1, 1, 0, 1], [0, 0, 0, 0, 0]], dtype=torch.bool)
    summary = c.param("e.summary", WIDTH).expand(B, 1, WIDTH)
    numbers = x.unsqueeze(-1) * c.param("e.number.weight", 3, WIDTH) + c.param("e.number.bias", 3, WIDTH)
    columns = [c.bind(nn.Embedding(n, WIDTH), {"weight": c.param(f"e.code{k}", n, WIDTH)})(codes[:, k:k + 1])
               for k, n in enumerate((3, 4))]
    tokens = torch.cat([summary, numbers] + columns, 1)
    looked_at = torch.cat([torch.ones(B, 1, dtype=torch.bool), there], 1)
    h = body(tokens, src_key_padding_mask=~looked_at)[:, 0]
    gain, shift = c.norm("e.last", WIDTH)
    c.write(F.relu(c.bind(nn.LayerNorm(WIDTH), {"weight": gain, "bias": shift})(h)))


def ngram_bag():
    c = Case("ngram_bag")
    m = c.bind(nn.EmbeddingBag(11, 3, mode="mean"), {"weight": c.param("e.table", 11, 3)})
    bags = [row[row >= 0] for row in CODES]
    starts = torch.tensor([0] + [len(b) for b in bags[:-1]]).cumsum(0)
    w, b = c.linear("e.out", WIDTH, 3)
    c.write(F.relu(c.bind(nn.Linear(3, WIDTH), {"weight": w, "bias": b})(m(torch.cat(bags), starts))))


def text_transformer():
    c = Case("text_transformer")
    body = transformer(c, norm_first=False)
    table = c.bind(nn.Embedding(11, WIDTH), {"weight": c.param("e.table", 11, WIDTH)})
    x = table(CODES.clamp(min=0)) * WIDTH**0.5 + sinusoids(T, WIDTH)
    c.write(mean_of_what_is_there(body, x, CODES >= 0))


def vit():
    c = Case("vit")
    body = transformer(c, norm_first=True)
    w, b = c.linear("e.patch", WIDTH, 2 * 2 * 2)
    # A patch is a window of a convolution with its own size as stride.
    patch = c.bind(nn.Conv2d(2, WIDTH, 2, stride=2), {"weight": conv2d_weight(w, 2, 2), "bias": b})
    x = patch(channels_first(c.data("pixels", B, 4, 6, 2))).flatten(2).transpose(1, 2)
    x = body(x + c.param("e.positions", 6 * WIDTH).reshape(6, WIDTH))
    gain, shift = c.norm("e.last", WIDTH)
    c.write(c.bind(nn.LayerNorm(WIDTH), {"weight": gain, "bias": shift})(x).mean(1))


class Residual(nn.Module):
    """He et al. 2016, fig. 2, with group norm; a shortcut where the size changes."""

    def __init__(self, c, name, in_, out, stride, groups):
        super().__init__()
        self.a = normed_conv(c, f"{name}.a", in_, out, 3, stride, groups)
        self.b = normed_conv(c, f"{name}.b", out, out, 3, 1, groups)
        self.shortcut = normed_conv(c, f"{name}.shortcut", in_, out, 1, stride, groups) if in_ != out else nn.Identity()

    def forward(self, x):
        return F.relu(self.b(F.relu(self.a(x))) + self.shortcut(x))


def normed_conv(c, name, in_, out, size, stride, groups):
    w = c.param(f"{name}.weight", out, size * size * in_)
    gain, shift = c.norm(name, out)
    m = nn.Sequential(nn.Conv2d(in_, out, size, stride=stride, padding=size // 2, bias=False),
                      nn.GroupNorm(groups, out))
    return c.bind(m, {"0.weight": conv2d_weight(w, size, size), "1.weight": gain, "1.bias": shift})


def cnn():
    c = Case("cnn")
    m = nn.Sequential(normed_conv(c, "e.stem", 1, 2, 3, 1, 2), nn.ReLU(), Residual(c, "e.stage1", 2, 2, 1, 2),
                      Residual(c, "e.stage2", 2, 4, 2, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    c.write(m(channels_first(c.data("pixels", B, 5, 6, 1))))


def tcn():
    c = Case("tcn")
    h, in_ = channels_first(series(c)), 3 * V
    for i in range(2):
        f = h
        for which in "ab":
            m = weight_norm_conv(c, f"e.block{i + 1}.{which}", in_ if which == "a" else WIDTH, WIDTH, 3, 2**i)
            f = F.relu(m(F.pad(f, (2 * 2**i, 0))))
        if in_ != WIDTH:
            w, b = c.linear("e.shortcut", WIDTH, in_)
            h = c.bind(nn.Conv1d(in_, WIDTH, 1), {"weight": w.unsqueeze(-1), "bias": b})(h)
        h, in_ = F.relu(f + h), WIDTH
    c.write(last(channels_last(h), LENGTH))


# ---- fusions ---------------------------------------------------------------------------------------------------

# Three modalities, or the first two: sizes of their vectors and how many positions each has, the pattern of which
# sample has which, and of which of its positions. All that a sample lacks is left out of its own equations.
SIZE, POSITIONS, FUSED_HIDDEN = (3, 5, 4), (3, 2, 4), 5
PRESENT = [[1, 1, 1], [1, 0, 1], [0, 1, 0]]
KEYS = ([[1, 0, 1], [1, 1, 1], [1, 1, 0]], [[1, 1], [0, 1], [1, 0]], [[1, 1, 0, 1], [0, 0, 1, 0], [1, 1, 1, 1]])


class Fused(Case):
    """The modalities: h[m] [B, SIZE[m]], and has(b): which there are of sample b. With a learned token, all are."""

    def __init__(self, name, M, token=False):
        super().__init__(name)
        self.M, self.token, self.all = M, token, range(M)
        self.h = [self.stand_in(m, self.input(f"h{m}", SIZE[m])) if token else self.input(f"h{m}", SIZE[m])
                  for m in self.all]

    def stand_in(self, m, h):
        there = torch.tensor([row[m] for row in PRESENT], dtype=torch.bool).unsqueeze(1)
        return torch.where(there, h, self.param(f"e.token{m}", h.shape[1]))

    def has(self, b):
        return [m for m in self.all if self.token or PRESENT[b][m]]

    def map(self, name, o, i, bias=True):
        """A linear map of ours by torch's module."""
        values = {"weight": self.param(f"{name}.weight", o, i)}
        if bias:
            values["bias"] = self.param(f"{name}.bias", o)
        return self.bind(nn.Linear(i, o, bias=bias), values)

    def norm_of(self, name, d):
        gain, shift = self.norm(name, d)
        return self.bind(nn.LayerNorm(d), {"weight": gain, "bias": shift})

    def projected(self):
        """p[b][m] = W_m h_m + b_m of those that sample b has."""
        maps = [self.map(f"e.in{m}.project", WIDTH, SIZE[m]) for m in self.all]
        return [{m: maps[m](self.h[m][b]) for m in self.has(b)} for b in range(B)]

    def side_by_side(self, parts, sizes):
        """[part_1; ...; part_M], zeros for those that are not among the parts."""
        return torch.cat([parts[m] if m in parts else torch.zeros(sizes[m]) for m in self.all])


def fusion_concat():
    c = Fused("fusion_concat", 3, token=True)
    c.write(torch.cat(c.h, 1))


def fusion_projected():
    c = Fused("fusion_projected", 3, token=True)
    parts = []
    for m in c.all:
        w = c.param(f"e.in{m}.weight", WIDTH, SIZE[m])
        project = c.bind(nn.Linear(SIZE[m], WIDTH, bias=False), {"weight": w})
        parts.append(c.norm_of(f"e.in{m}.norm", WIDTH)(project(c.h[m])))
    c.write(torch.cat(parts, 1))


def fusion_gate():
    """Of two g = sigmoid(w^T [p_1; p_2]), of more the softmax over those that are there; one alone is itself."""
    for M in (2, 3):
        c = Fused(f"fusion_gate{M}", M)
        score = c.map("e.gate", 1 if M == 2 else M, M * WIDTH, bias=False)
        rows = []
        for p in c.projected():
            s = score(c.side_by_side(p, [WIDTH] * M))
            if len(p) == 1:
                rows.append(*p.values())
            elif M == 2:
                rows.append(torch.sigmoid(s) * p[0] + (1 - torch.sigmoid(s)) * p[1])
            else:
                share = torch.softmax(s[list(p)], 0)
                rows.append(sum(a * x for a, x in zip(share, p.values())))
        c.write(torch.stack(rows))


def gmu_rows(c, value, gates, sizes):
    """Arevalo et al. 2017: eq. 2 to 5 of two modalities, a gate for each of more. value[b][m], gates [M or 1]."""
    rows = []
    for v, x in value:
        z = [torch.sigmoid(gate(c.side_by_side(x, sizes))) for gate in gates]
        if c.M == 2:
            rows.append(z[0] * v[0] + (1 - z[0]) * v[1] if len(v) == 2 else next(iter(v.values())))
        else:
            rows.append(sum(z[m] * v[m] for m in v))
    return torch.stack(rows)


def fusion_gmu():
    for M in (2, 3):
        c = Fused(f"fusion_gmu{M}", M)
        maps = [c.map(f"e.in{m}", WIDTH, SIZE[m], bias=False) for m in c.all]
        gates = [c.map(f"e.gate{m}", WIDTH, sum(SIZE[:M]), bias=False) for m in (range(1) if M == 2 else c.all)]
        value = []
        for b in range(B):
            x = {m: c.h[m][b] for m in c.has(b)}
            value.append(({m: torch.tanh(maps[m](x[m])) for m in x}, x))
        c.write(gmu_rows(c, value, gates, SIZE))


def fusion_gmu_heads():
    """Jiang et al. 2021: GMUs of their own in each of HEADS subspaces."""
    for M in (2, 3):
        c = Fused(f"fusion_gmu_heads{M}", M)
        d = WIDTH // HEADS
        p = c.projected()
        heads = []
        for k in range(HEADS):
            gates = [c.map(f"e.gate{m}.head{k}", d, M * d) for m in (range(1) if M == 2 else c.all)]
            own = [{m: torch.tanh(x)[k * d:(k + 1) * d] for m, x in of.items()} for of in p]
            heads.append(gmu_rows(c, [(v, v) for v in own], gates, [d] * M))
        c.write(torch.cat(heads, 1))


class Positions(Fused):
    """The same with positions x[m] [B, N_m, SIZE[m]], but for a last modality that has none; x(b, m): a sample's."""

    def __init__(self, name, M, single=False, token=False):
        Case.__init__(self, name)
        self.M, self.token, self.all = M, token, range(M)
        self.single = M - 1 if single else None
        self.h, self.rows, self.stands = {}, {}, {}
        for m in self.all:
            if m == self.single:
                self.h[m] = self.input(f"h{m}", SIZE[m])
            else:
                self.rows[m] = self.input(f"x{m}", POSITIONS[m], SIZE[m])
            if token:
                self.stands[m] = self.param(f"e.token{m}", SIZE[m])

    def x(self, b, m):
        """[n, SIZE[m]]: what one may look at."""
        if not PRESENT[b][m]:
            return self.stands[m].unsqueeze(0)
        if m == self.single:
            return self.h[m][b:b + 1]
        return self.rows[m][b][torch.tensor(KEYS[m][b], dtype=torch.bool)]


def attend(q, k, v):
    """Vaswani et al. 2017, eq. 1, in HEADS subspaces: softmax(Q K^T / sqrt(d)) V, side by side."""
    d = WIDTH // HEADS
    cut = lambda x: [x[:, i * d:(i + 1) * d] for i in range(HEADS)]
    return torch.cat([torch.softmax(a @ b.T / math.sqrt(d), 1) @ x for a, b, x in zip(cut(q), cut(k), cut(v))], 1)


def looks(c, sizes, pairs):
    """look(b, of, at, x): the mean over positions of `of` of what they find at `at`, x[m] [n, sizes[m]] of one sample.

    A modality that nobody has a choice at needs no key, and one that has no choice anywhere no query.
    """
    q, k, v = {}, {}, {}
    for m in c.all:
        if any(of == m and at != c.single for of, at in pairs):
            q[m] = c.map(f"e.in{m}.query", WIDTH, sizes[m], bias=False)
        if m != c.single:
            k[m] = c.map(f"e.in{m}.key", WIDTH, sizes[m], bias=False)
        v[m] = c.map(f"e.in{m}.value", WIDTH, sizes[m], bias=False)

    def look(of, at, x):
        if at == c.single:
            return v[at](x[at])[0]
        return attend(q[of](x[of]), k[at](x[at]), v[at](x[at])).mean(0)

    return look


def fusion_cross_attention():
    """z_a = the mean over b != a of the pooled A_ab, every ordered pair of those that are there."""
    for name, M, single, token in (("fusion_cross2", 2, False, False), ("fusion_cross3", 3, True, False),
                                   ("fusion_cross_token", 3, False, True)):
        c = Positions(name, M, single, token)
        look = looks(c, SIZE, [(a, b) for a in c.all for b in c.all if a != b])
        rows = []
        for b in range(B):
            x = {m: c.x(b, m) for m in c.has(b)}
            z = []
            for a in c.all:
                found = [look(a, m, x) for m in x if m != a] if a in x else []
                z.append(sum(found) / len(found) if found else torch.zeros(WIDTH))
            rows.append(torch.cat(z))
        c.write(torch.stack(rows))


def fusion_asymmetric():
    """F'_p = F_p + sum a_m A(p; m), F'_m = F_m + c_m A(m; p), pooled: the primary first, then the others."""
    for name, single, token in (("fusion_asymmetric3", True, False), ("fusion_asymmetric_token", False, True)):
        c = Positions(name, 3, single, token)
        primary = 1
        others = [m for m in c.all if m != primary]
        lift = [c.map(f"e.in{m}.lift", WIDTH, SIZE[m]) for m in c.all]
        found = {m: c.param(f"e.in{m}.found", 1) for m in others}
        finds = {m: c.param(f"e.in{m}.finds", 1) for m in others}
        look = looks(c, [WIDTH] * 3, [(primary, m) for m in others] + [(m, primary) for m in others])
        rows = []
        for b in range(B):
            f = {m: lift[m](c.x(b, m)) for m in c.has(b)}
            z = {m: f[m].mean(0) for m in f}
            for m in others:
                if m in f and primary in f:
                    z[primary] = z[primary] + found[m] * look(primary, m, f)
                    z[m] = z[m] + finds[m] * look(m, primary, f)
            rows.append(torch.cat([z[m] if m in z else torch.zeros(WIDTH) for m in [primary] + others]))
        c.write(torch.stack(rows))


def fusion_attention():
    """Tokens of those that are there and a summary, and the mean; nobody else is in the sequence."""
    for name, token in (("fusion_attention_skip", False), ("fusion_attention_token", True)):
        c = Fused(name, 3, token)
        p = c.projected()
        summary = c.param("e.summary", WIDTH)
        body = transformer(c, norm_first=True)
        norm = c.norm_of("e.last", WIDTH)
        c.write(torch.stack([norm(body(torch.stack([summary, *of.values()])[None])[0].mean(0)) for of in p]))


def fusion_medfuse():
    c = Fused("fusion_medfuse", 3)
    p = c.projected()
    lstm = c.bind(nn.LSTM(WIDTH, FUSED_HIDDEN, batch_first=True),
                  lstm_values(*c.linear("e.lstm", 4 * FUSED_HIDDEN, WIDTH + FUSED_HIDDEN), WIDTH))
    c.write(torch.stack([lstm(torch.stack(list(of.values()))[None])[1][0][0, 0] for of in p]))


def fusion_hierarchical():
    c = Fused("fusion_hierarchical", 3, token=True)
    pairs = {(i, j): c.map(f"e.pair{i}_{j}", WIDTH, 2 * WIDTH) for i, j in ((0, 1), (0, 2), (1, 2))}
    out = c.map("e.out", WIDTH, 3 * WIDTH)
    rows = []
    for p in c.projected():
        rows.append(F.gelu(out(torch.cat([F.gelu(w(torch.cat([p[i], p[j]]))) for (i, j), w in pairs.items()]))))
    c.write(torch.stack(rows))


def log_odds(p):
    return torch.log(p / (1 - p))


def fusion_late():
    c = Fused("fusion_late", 3)
    heads = [c.map(f"e.in{m}.head", 1, SIZE[m]) for m in c.all]
    c.write(torch.stack([log_odds(sum(torch.sigmoid(heads[m](c.h[m][b])) for m in c.has(b)) / len(c.has(b)))
                         for b in range(B)]))


def fusion_tri_branch():
    """A branch for each modality and one for all that is there where they all are; what is trained, and what is said."""
    label = torch.tensor([1.0, 0.0, 1.0])
    for M, learned in ((2, False), (3, True)):
        for loss in (False, True):
            c = Fused(f"fusion_branches{M}{'_loss' if loss else ''}", M)
            heads = [c.map(f"e.in{m}.head", 1, SIZE[m]) for m in c.all]
            joint = nn.Sequential(c.map("e.joint", FUSED_HIDDEN, sum(SIZE[:M])), nn.ReLU(),
                                  c.map("e.out", 1, FUSED_HIDDEN))
            weights = c.param("e.weights", M + 1) if learned else torch.zeros(M + 1)
            rows = []
            for b in range(B):
                who = c.has(b)
                p = [torch.sigmoid(heads[m](c.h[m][b])) for m in who]
                if len(who) == M:
                    p.append(torch.sigmoid(joint(torch.cat([h[b] for h in c.h]))))
                share = torch.softmax(weights[who + [M] if len(who) == M else who], 0)
                mix = sum(a * x for a, x in zip(share, p))
                own = sum(F.binary_cross_entropy(x[0], label[b]) for x in p) / len(p)
                if loss:
                    rows.append((own + F.binary_cross_entropy(mix[0], label[b]) if learned else own).reshape(1))
                else:
                    rows.append(log_odds(mix))
            c.write(torch.stack(rows))


def main():
    print(f"# written by torch_values.py with torch {torch.__version__}; do not edit")
    for case in (linear, layer_norm, group_norm, conv2d, depthwise, conv1d, conv1d_weight_norm, pools, activations,
                 lstm, gru, attention, embedding, losses, gru_encoder, lstm_encoder, summary_encoder,
                 series_transformer, event_transformer, feature_transformer, ngram_bag, text_transformer, vit, cnn, tcn, fusion_concat,
                 fusion_projected, fusion_gate, fusion_gmu, fusion_gmu_heads, fusion_cross_attention,
                 fusion_asymmetric, fusion_attention, fusion_medfuse, fusion_hierarchical, fusion_late,
                 fusion_tri_branch):
        case()
    return 0


if __name__ == "__main__":
    sys.exit(main())
