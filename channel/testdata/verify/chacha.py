"""ChaCha20-Poly1305 (RFC 8439), opening alone and without additional data, and HKDF with SHA-256 (RFC 5869)."""

import hashlib
import hmac
import struct

MASK = 0xffffffff
NONCE = bytes(12)


def extract(salt, secret):
    return hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()


def expand(key, info, length):
    out, block = b"", b""
    for i in range(1, -(-length // 32) + 1):
        block = hmac.new(key, block + info + bytes([i]), hashlib.sha256).digest()
        out += block
    return out[:length]


def open_box(key, nonce, box):
    """The text in box, or None if its tag is not right."""
    if len(box) < 16:
        return None
    text, tag = box[:-16], box[-16:]
    if not hmac.compare_digest(_poly1305(_block(key, 0, nonce)[:32], text), tag):
        return None
    stream = b"".join(_block(key, 1 + i, nonce) for i in range(-(-len(text) // 64)))
    return bytes(a ^ b for a, b in zip(text, stream))


def _poly1305(key, text):
    """The tag of a text under a one-time key, as RFC 8439, 2.8, lays it out."""
    data = text + bytes(-len(text) % 16) + struct.pack("<QQ", 0, len(text))
    r = int.from_bytes(key[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff
    sum_ = 0
    for i in range(0, len(data), 16):
        sum_ = (sum_ + int.from_bytes(data[i:i + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return (sum_ + int.from_bytes(key[16:], "little") & (1 << 128) - 1).to_bytes(16, "little")


def _block(key, counter, nonce):
    start = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce))
    s = start[:]
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                           (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            s[a] = s[a] + s[b] & MASK
            s[d] = _rotate(s[d] ^ s[a], 16)
            s[c] = s[c] + s[d] & MASK
            s[b] = _rotate(s[b] ^ s[c], 12)
            s[a] = s[a] + s[b] & MASK
            s[d] = _rotate(s[d] ^ s[a], 8)
            s[c] = s[c] + s[d] & MASK
            s[b] = _rotate(s[b] ^ s[c], 7)
    return struct.pack("<16I", *(x + y & MASK for x, y in zip(s, start)))


def _rotate(x, n):
    return (x << n | x >> 32 - n) & MASK
