"""HPKE (RFC 9180), base mode, opening alone: KEM 0x647a (ML-KEM-768 with X25519), HKDF-SHA256, ChaCha20-Poly1305."""

import functools
import hashlib

import chacha
import mlkem

PUBLIC, ENCAPSULATED = 1216, 1120
SUITE = b"HPKE" + bytes.fromhex("647a00010003")
LABEL = bytes.fromhex("5c2e2f2f5e5c")
P = 2**255 - 19
NINE = (9).to_bytes(32, "little")


def x25519(scalar, point):
    """RFC 7748, 5."""
    k = int.from_bytes(scalar, "little") & ~7 & (1 << 254) - 1 | 1 << 254
    x1 = (int.from_bytes(point, "little") & (1 << 255) - 1) % P
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for i in range(254, -1, -1):
        bit = k >> i & 1
        if swap != bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


@functools.lru_cache(maxsize=None)
def key_pair(seed):
    """The secret and public halves of the key that a seed of 32 bytes stands for."""
    long = hashlib.shake_256(seed).digest(96)
    first, second = mlkem.key_pair(long[:32], long[32:64]), long[64:]
    curve = x25519(second, NINE)
    return (first, second, curve), first[1] + curve


def _shared(secret, encapsulated):
    first, second, curve = secret
    theirs = encapsulated[mlkem.CIPHERTEXT:]
    return hashlib.sha3_256(mlkem.decapsulate(first, encapsulated[:mlkem.CIPHERTEXT]) + x25519(second, theirs) + theirs + curve + LABEL).digest()


def _extract(salt, label, secret):
    return chacha.extract(salt, b"HPKE-v1" + SUITE + label + secret)


def _expand(key, label, info, length):
    return chacha.expand(key, length.to_bytes(2, "big") + b"HPKE-v1" + SUITE + label + info, length)


@functools.lru_cache(maxsize=None)
def open_box(seed, info, box):
    """The text of a box, an encapsulated key and a ciphertext, or None."""
    secret, _ = key_pair(seed)
    context = b"\0" + _extract(b"", b"psk_id_hash", b"") + _extract(b"", b"info_hash", info)
    key = _extract(_shared(secret, box[:ENCAPSULATED]), b"secret", b"")
    return chacha.open_box(_expand(key, b"key", context, 32), _expand(key, b"base_nonce", context, 12), box[ENCAPSULATED:])
