#!/usr/bin/env python3
"""Writes mask_v1.txt: what common/mask must compute. Python 3 and its hashlib alone.

Written from docs/PROTOCOL.md ("Masked sums"), RFC 9496 (ristretto255), RFC 8439 (ChaCha20; here with
the original 64-bit nonce and counter) and Shamir 1979, not from the C. Three sites: 0, 2 and 5.
"""
import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_M1 = pow(2, (P - 1) // 4, P)


def sqrt_ratio(u, v):  # RFC 9496, 4.2
    r = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    check = v * r * r % P
    if check in ((-u) % P, (-u * ROOT_M1) % P):
        r = r * ROOT_M1 % P
    return check in (u % P, (-u) % P), min(r, P - r) if (r & 1) else r


def absolute(x):
    x %= P
    return P - x if x & 1 else x


INV_SQRT_A_MINUS_D = absolute(sqrt_ratio(1, (-1 - D) % P)[1])


def encode(point):  # 4.3.2
    x0, y0, z0, t0 = point
    u1, u2 = (z0 + y0) * (z0 - y0) % P, x0 * y0 % P
    inv = absolute(sqrt_ratio(1, u1 * u2 * u2 % P)[1])
    den1, den2 = inv * u1 % P, inv * u2 % P
    z_inv = den1 * den2 * t0 % P
    if (t0 * z_inv % P) & 1:
        x, y, den = y0 * ROOT_M1 % P, x0 * ROOT_M1 % P, den1 * INV_SQRT_A_MINUS_D % P
    else:
        x, y, den = x0, y0, den2
    if (x * z_inv % P) & 1:
        y = -y % P
    return absolute(den * (z0 - y)).to_bytes(32, "little")


def decode(data):  # 4.3.1
    s = int.from_bytes(data, "little")
    ss = s * s % P
    u1, u2 = (1 - ss) % P, (1 + ss) % P
    v = (-D * u1 * u1 - u2 * u2) % P
    square, inv = sqrt_ratio(1, v * u2 * u2 % P)
    inv = absolute(inv)
    dx = inv * u2 % P
    x, y = absolute(2 * s * dx), u1 * inv * dx * v % P
    assert s < P and not s & 1 and square and not x * y % P & 1 and y
    return x, y, 1, x * y % P


def add(p, q):  # extended twisted Edwards, a = -1 (Hisil et al. 2008)
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(k, p):
    out = (0, 1, 1, 0)
    while k:
        if k & 1:
            out = add(out, p)
        p, k = add(p, p), k >> 1
    return out


BASE = decode(bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"))


def u64(x):
    return x.to_bytes(8, "little")


def text(label):
    return u64(len(label)) + label.encode()


def blake(*pieces, key=b"", size=32):
    return hashlib.blake2b(b"".join(pieces), key=key, digest_size=size).digest()


def chacha(key, words):
    """`words` numbers of keystream, nonce 0."""
    def rotate(x, n):
        return (x << n | x >> (32 - n)) & 0xFFFFFFFF

    def quarter(s, a, b, c, d):
        s[a] = (s[a] + s[b]) & 0xFFFFFFFF; s[d] = rotate(s[d] ^ s[a], 16)
        s[c] = (s[c] + s[d]) & 0xFFFFFFFF; s[b] = rotate(s[b] ^ s[c], 12)
        s[a] = (s[a] + s[b]) & 0xFFFFFFFF; s[d] = rotate(s[d] ^ s[a], 8)
        s[c] = (s[c] + s[d]) & 0xFFFFFFFF; s[b] = rotate(s[b] ^ s[c], 7)

    def little(data):
        return [int.from_bytes(data[i:i + 4], "little") for i in range(0, len(data), 4)]

    out = []
    for block in range((words + 15) // 16):
        start = little(b"expand 32-byte k" + key + u64(block) + bytes(8))
        s = list(start)
        for _ in range(10):
            for q in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                      (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
                quarter(s, *q)
        out += [(x + y) & 0xFFFFFFFF for x, y in zip(s, start)]
    return out[:words]


def scalar(seed, label, context, index=0):
    wide = blake(text(label), context, u64(index), key=seed, size=64)
    return int.from_bytes(wide, "little") % L


def s32(x):
    return x.to_bytes(32, "little")


SITES, N_SITES, T, WORDS = (0, 2, 5), 6, 2, 40
study, roster, model = (bytes([i]) * 32 for i in (0x11, 0x22, 0x33))
attempt = blake(text("wardround mask attempt v1"), study, u64(7), roster, model,
                u64(N_SITES), u64(3), u64(0), u64(0))
lines = [("attempt", attempt.hex())]

seed = {i: bytes([0xA0 + i]) * 32 for i in SITES}
key = {i: scalar(seed[i], "wardround mask key v1", attempt) for i in SITES}
box = {i: scalar(seed[i], "wardround mask box key v1", attempt) for i in SITES}
own = {i: scalar(seed[i], "wardround mask self v1", attempt) for i in SITES}
public = {i: encode(times(key[i], BASE)) for i in SITES}
box_public = {i: encode(times(box[i], BASE)) for i in SITES}
members = blake(text("wardround mask members v1"), attempt, u64(len(SITES)),
                *(u64(i) + public[i] + box_public[i] for i in SITES))
for i in SITES:
    lines += [(f"key {i}", s32(key[i]).hex()), (f"self {i}", s32(own[i]).hex()),
              (f"public {i}", public[i].hex()), (f"box public {i}", box_public[i].hex())]
lines += [("members", members.hex())]


def share(dealer, receiver, which):
    label = ("wardround mask key share v1", "wardround mask self share v1")[which]
    coefficients = [(key, own)[which][dealer]]
    coefficients += [scalar(seed[dealer], label, members, power) for power in range(1, T)]
    return sum(a * (receiver + 1)**power for power, a in enumerate(coefficients)) % L


def blinding(dealer, receiver, which):
    label = ("wardround mask key blinding v1", "wardround mask self blinding v1")[which]
    return blake(text(label), members, u64(receiver), key=seed[dealer])


def commitment(dealer, receiver, which):
    return blake(text("wardround mask commitment v1"), members, u64(dealer), u64(receiver),
                 u64(which), s32(share(dealer, receiver, which)), blinding(dealer, receiver, which))


for receiver in SITES:
    for which, name in enumerate(("key", "self")):
        lines += [(f"share 2 {receiver} {name}", s32(share(2, receiver, which)).hex()),
                  (f"commitment 2 {receiver} {name}", commitment(2, receiver, which).hex())]
for a, b in ((0, 2), (2, 5)):  # what the shares are for
    x_a, x_b = a + 1, b + 1
    for which in (0, 1):
        f0 = (share(2, a, which) * x_b * pow(x_b - x_a, -1, L)
              + share(2, b, which) * x_a * pow(x_a - x_b, -1, L)) % L
        assert f0 == (key, own)[which][2]

# Names of deals whose roots are made up: the tree has a test of its own.
root = {i: bytes([0x40 + i]) * 32 for i in SITES}
hidden = {i: blake(text("wardround mask self commitment v1"), members, u64(i), s32(own[i])) for i in SITES}
clique = blake(text("wardround mask clique v1"), members, u64(len(SITES)),
               *(u64(i) + root[i] + hidden[i] for i in SITES))
lines += [("hidden 2", hidden[2].hex()), ("clique", clique.hex())]


def pair(keys, publics, label, context, low, high, tail):
    secret = encode(times(keys[low], decode(publics[high])))
    assert secret == encode(times(keys[high], decode(publics[low])))
    return blake(text(label), context, u64(low), u64(high), publics[low], publics[high], secret, u64(tail))


lines += [("box key 2 to 5", pair(box, box_public, "wardround mask box v1", members, 2, 5, 2).hex())]
total = [0] * WORDS
for i in SITES:
    masked = [1000 * i + w for w in range(WORDS)]
    stream = chacha(blake(text("wardround mask self mask v1"), clique, u64(i), s32(own[i])), WORDS)
    masked = [x + y for x, y in zip(masked, stream)]
    total = [x - y for x, y in zip(total, stream)]
    for j in SITES:
        if j != i:
            stream = chacha(pair(key, public, "wardround mask pair v1", clique, min(i, j), max(i, j), 0), WORDS)
            sign = 1 if i > j else -1
            masked = [x + sign * y for x, y in zip(masked, stream)]
    masked = [x % 2**32 for x in masked]
    total = [(x + y) % 2**32 for x, y in zip(total, masked)]
    lines += [(f"masked {i}", b"".join(x.to_bytes(4, "little") for x in masked).hex())]
assert total == [sum(1000 * i + w for i in SITES) for w in range(WORDS)]

with open(__file__.replace(".py", ".txt"), "w", encoding="ascii") as f:
    f.write("# written by mask_v1.py; three sites 0, 2, 5 of a roster of 6, t = 2, round 7\n")
    f.writelines(f"{name}: {value}\n" for name, value in lines)
