"""ML-KEM-768 (FIPS 203): keys from their seed, and decapsulation."""

import functools
import hashlib

Q, N, K = 3329, 256, 3
ETA, DU, DV = 2, 10, 4
CIPHERTEXT = 32 * (DU * K + DV)  # 1,088 bytes


def _reversed(i):
    return int(format(i, "07b")[::-1], 2)


ZETAS = [pow(17, _reversed(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * _reversed(i) + 1, Q) for i in range(128)]


def ntt(f):
    f, i, length = f[:], 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            zeta = ZETAS[i]
            i += 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % Q
                f[j + length] = (f[j] - t) % Q
                f[j] = (f[j] + t) % Q
        length //= 2
    return f


def un_ntt(f):
    f, i, length = f[:], 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            zeta = ZETAS[i]
            i -= 1
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % Q
                f[j + length] = zeta * (f[j + length] - t) % Q
        length *= 2
    return [x * 3303 % Q for x in f]


def add(f, g):
    return [(a + b) % Q for a, b in zip(f, g)]


def product(fs, gs):
    """The sum of the products of polynomials, all of them in NTT form."""
    out = [0] * N
    for f, g in zip(fs, gs):
        for i in range(128):
            a, b, c, d = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
            out[2 * i] += a * c + b * d % Q * GAMMAS[i]
            out[2 * i + 1] += a * d + b * c
    return [x % Q for x in out]


def encode(f, bits):
    return sum(x << bits * i for i, x in enumerate(f)).to_bytes(32 * bits, "little")


def decode(data, bits):
    n, mask = int.from_bytes(data, "little"), (1 << bits) - 1
    return [n >> bits * i & mask for i in range(N)]


def compress(f, bits):
    return [((x << bits) + Q // 2) // Q % (1 << bits) for x in f]


def decompress(f, bits):
    return [(x * Q + (1 << bits - 1)) >> bits for x in f]


def sample_ntt(seed):
    stream, out = hashlib.shake_128(seed).digest(1344), []
    for i in range(0, len(stream), 3):
        a, b, c = stream[i:i + 3]
        for d in (a | (b & 15) << 8, b >> 4 | c << 4):
            if d < Q and len(out) < N:
                out.append(d)
    assert len(out) == N  # 896 tries for 256: it falls short once in 2^200 or so
    return out


def noise(seed, n):
    """A polynomial with small coefficients: the n-th that a seed gives."""
    bits = int.from_bytes(hashlib.shake_256(seed + bytes([n])).digest(64 * ETA), "little")
    return [((bits >> 4 * i & 1) + (bits >> 4 * i + 1 & 1) - (bits >> 4 * i + 2 & 1) - (bits >> 4 * i + 3 & 1)) % Q for i in range(N)]


@functools.lru_cache(maxsize=None)
def matrix(rho):
    return [[sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


@functools.lru_cache(maxsize=None)
def key_pair(d, z):
    """The secret vector, the public key, its hash, and what is said when a ciphertext is wrong."""
    h = hashlib.sha3_512(d + bytes([K])).digest()
    rho, sigma = h[:32], h[32:]
    s = [ntt(noise(sigma, i)) for i in range(K)]
    e = [ntt(noise(sigma, K + i)) for i in range(K)]
    t = [add(product(row, s), e[i]) for i, row in enumerate(matrix(rho))]
    public = b"".join(encode(f, 12) for f in t) + rho
    return s, public, hashlib.sha3_256(public).digest(), z


def polynomials(public):
    return [decode(public[384 * i:384 * (i + 1)], 12) for i in range(K)]


def encrypt(public, message, seed):
    t, a = polynomials(public), matrix(public[384 * K:])
    y = [ntt(noise(seed, i)) for i in range(K)]
    u = [add(un_ntt(product([a[j][i] for j in range(K)], y)), noise(seed, K + i)) for i in range(K)]
    v = add(add(un_ntt(product(t, y)), noise(seed, 2 * K)), decompress(decode(message, 1), 1))
    return b"".join(encode(compress(f, DU), DU) for f in u) + encode(compress(v, DV), DV)


def decapsulate(key, ciphertext):
    s, public, h, z = key
    u = [ntt(decompress(decode(ciphertext[320 * i:320 * (i + 1)], DU), DU)) for i in range(K)]
    v = decompress(decode(ciphertext[320 * K:], DV), DV)
    w = [(a - b) % Q for a, b in zip(v, un_ntt(product(s, u)))]
    message = encode(compress(w, 1), 1)
    g = hashlib.sha3_512(message + h).digest()
    if encrypt(public, message, g[32:]) != ciphertext:
        return hashlib.shake_256(z + ciphertext).digest(32)
    return g[:32]
