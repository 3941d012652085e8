"""CHANNELS.md, Private channels: what is sealed, keyrings, and member keys."""

import base64
import hashlib
import re

import cbor
import chacha
import hpke
import mlkem
import text
from errors import MALFORMED, READ_KEY, TOO_LARGE, need
from fields import Bytes, List, Struct, Uint, line
from jsonform import pem
from structures import BODY, FORMAT, MAX_SEALED_BODY, REF, check_body, check_body_ref

MAX_SECRETS, MAX_KEYRING, MAX_PREVIOUS = 65536, 2097152, 1024
TAG = 16


def padded(n):
    """docs/blobs.md: how long n bytes are when they are padded."""
    if n < 2:
        return 512
    e = n.bit_length() - 1
    m = (1 << max(e - e.bit_length(), 0)) - 1
    return max(512, n + m & ~m)


class Box(Bytes):
    """What a text is sealed to: padding that was done right shows in the length."""

    def check(self, value):
        super().check(value)
        n = len(value) - TAG
        need(n > 0 and padded(n) == n, MALFORMED, "a box of a length that no padding gives")


class MemberBox(Bytes):
    def shape(self, value):
        need(type(value) is bytes, MALFORMED, "not bytes")
        return value

    def check(self, value):
        need(len(value) == hpke.ENCAPSULATED + 48, MALFORMED, "a member's box of another length")


SEALED = Struct("sealed", [
    (1, "format", FORMAT, False),
    (2, "keyring", Bytes(32, zero=False), False),
    (3, "salt", Bytes(32), False),
    (4, "commit", Bytes(32), False),
    (5, "box", Box(most=MAX_SEALED_BODY), False),
])


def _sealed_body(s):
    need(not ("body" in s and "bodyRef" in s), MALFORMED, "a body and a reference to one")
    check_body(s)
    check_body_ref(s)


SEALED_BODY = Struct("sealed body", [
    (9, "body", BODY, True),
    (10, "bodyRef", REF, True),
], _sealed_body)


def _keyring(k):
    n = len(k["boxes"])
    need(n & n - 1 == 0, MALFORMED, "boxes that are no power of two")


KEYRING = Struct("keyring", [
    (1, "format", FORMAT, False),
    (2, "boxes", List(MemberBox(), 8, 1024), False),
    (3, "salt", Bytes(32), False),
    (4, "commit", Bytes(32), False),
    (5, "secrets", Box(most=MAX_SECRETS, many=TOO_LARGE), False),
], _keyring)

EPOCH_KEY = Struct("epoch key", [
    (1, "epoch", Uint(1), False),
    (2, "key", Bytes(32), False),
])

SECRETS = Struct("secrets", [
    (1, "title", line(256), True),
    (2, "previous", List(EPOCH_KEY, 1, MAX_PREVIOUS, ascending=lambda k: -k["epoch"]), True),
])


def decode_sealed(data):
    need(len(data) <= MAX_SEALED_BODY, TOO_LARGE, "sealed bytes of over 40 KiB")
    return SEALED.parse(cbor.decode(data))


def decode_keyring(data):
    need(len(data) <= MAX_KEYRING, TOO_LARGE, "a keyring of over 2 MiB")
    return KEYRING.parse(cbor.decode(data))


def keys(read_key, salt, info):
    both = chacha.expand(chacha.extract(salt, read_key), info, 64)
    return both[:32], both[32:]


def open_box(read_key, salt, commit, info, box):
    key, mine = keys(read_key, salt, info)
    need(mine == commit, READ_KEY, "sealed under another read key")
    plain = chacha.open_box(key, chacha.NONCE, box)
    need(plain is not None, MALFORMED, "a tag that is not right")
    n = int.from_bytes(plain[:4], "big")
    need(padded(4 + n) == len(plain), MALFORMED, "a length that is not the text's")
    need(not any(plain[4 + n:]), MALFORMED, "padding that is not zero")
    return plain[4:4 + n]


def body_info(m):
    return b"aml-sealed-v1" + m["channel"] + m["log"] + m["epoch"].to_bytes(8, "big") + m["seq"].to_bytes(8, "big")


def keyring_info(channel, epoch):
    return b"aml-keyring-v1" + channel + epoch.to_bytes(8, "big")


def unseal(m, read_key):
    """The text in the box of a manifest's sealed, and what it says."""
    s = decode_sealed(m["sealed"])
    plain = open_box(read_key, s["salt"], s["commit"], body_info(m), s["box"])
    return plain, SEALED_BODY.parse(cbor.decode(plain))


def open_keyring(ring, channel, epoch, read_key):
    plain = open_box(read_key, ring["salt"], ring["commit"], keyring_info(channel, epoch), ring["secrets"])
    secrets = SECRETS.parse(cbor.decode(plain))
    need(all(k["epoch"] < epoch for k in secrets.get("previous", [])), MALFORMED, "a previous epoch that is none")
    return plain, secrets


def find(ring, channel, epoch, seed):
    """The read key that a member finds in a keyring."""
    for box in ring["boxes"]:
        key = hpke.open_box(seed, keyring_info(channel, epoch), box)
        if key is not None and keys(key, ring["salt"], keyring_info(channel, epoch))[1] == ring["commit"]:
            return key
    need(False, READ_KEY, "for other members")


# Member keys

MEMBER = "amlmember1"
MEMBER_TEXT = re.compile(MEMBER + "([a-z2-7]{1952})")


def _sum(public):
    return hashlib.sha256(b"aml-member-v1" + public).digest()


def format_member(public):
    return MEMBER + text.base32(public + _sum(public)[:4])


def short(public):
    return text.base32(_sum(public)[:10])


def member(s):
    """The public key in a member's text."""
    m = MEMBER_TEXT.fullmatch(s)
    need(m, MALFORMED, "not a member key")
    raw = base64.b32decode(m.group(1).upper())
    public, check = raw[:-4], raw[-4:]
    need(check == _sum(public)[:4], MALFORMED, "another checksum")
    need(all(x < mlkem.Q for f in mlkem.polynomials(public) for x in f), MALFORMED, "a coefficient that is not reduced")
    need(any(hpke.x25519(bytes(32), public[-32:])), MALFORMED, "an X25519 key of small order")
    return public


def member_file(s):
    seed = pem(s, "AML MEMBER KEY")
    need(len(seed) == 32, MALFORMED, "a member key that is not 32 bytes")
    return seed
