"""Ed25519 (RFC 8032) with the strictness of CHANNELS.md, Primitives.

NOT for secrets: nothing here is constant-time. It verifies, and makes public keys from the seeds of test keys.

The curve is -x^2 + y^2 = 1 + d x^2 y^2 over the integers modulo P. Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z.
"""

import functools
import hashlib

from errors import MALFORMED, need

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493  # order of the group that B generates
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)

# The y coordinates of the points whose order divides 8, but for those that are P or more.
SMALL_ORDER = {0, 1, P - 1} | {
    int.from_bytes(bytes.fromhex(h), "little")
    for h in ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
              "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
}


def check_key(key):
    """What is checked wherever a public key is decoded. Whether it is on the curve is not: only verifying tells."""
    need(len(key) == 32, MALFORMED, "a public key that is not 32 bytes")
    y = int.from_bytes(key, "little") & (1 << 255) - 1
    need(y < P, MALFORMED, "a public key whose y is not below 2^255-19")
    need(y not in SMALL_ORDER, MALFORMED, "a public key of small order")
    return key


@functools.lru_cache(maxsize=None)  # the root that much stands under is verified once
def verify(key, message, signature):
    """Whether signature is key's on message: without cofactor, and R compared byte by byte."""
    if len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    point = _decode(key)
    if point is None:
        return False
    k = _scalar(signature[:32], key, message)
    x, y, z, t = point
    return _encode(_two_products(s, BASE, k, (-x % P, y, z, -t % P))) == signature[:32]


def public_key(seed):
    """RFC 8032, 5.1.5."""
    h = bytearray(hashlib.sha512(seed).digest()[:32])
    h[0] &= 248
    h[31] = h[31] & 127 | 64
    return _encode(_two_products(int.from_bytes(h, "little"), BASE, 0, BASE))


def _scalar(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


def _add(p, q):
    """The addition of RFC 8032, 5.1.4."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _double(p):
    a, b = p[0] * p[0], p[1] * p[1]
    g, h = a - b, a + b
    e, f = h - (p[0] + p[1]) ** 2, 2 * p[2] * p[2] + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def _two_products(m, p, n, q):
    """m p + n q, bit by bit of both at once."""
    table = {(1, 0): p, (0, 1): q, (1, 1): _add(p, q)}
    total = (0, 1, 1, 0)  # the neutral element
    for i in reversed(range(max(m.bit_length(), n.bit_length()))):
        total = _double(total)
        bits = (m >> i & 1, n >> i & 1)
        if any(bits):
            total = _add(total, table[bits])
    return total


def _encode(p):
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode(key):
    """The point, or None where there is none (RFC 8032, 5.1.3)."""
    number = int.from_bytes(key, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == -u % P:
        x = x * ROOT_OF_MINUS_1 % P
    if v * x * x % P != u or x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = _decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
