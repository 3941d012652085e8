"""CHANNELS.md, Sync, Reconciliation: state vectors, salted items, fingerprints, and what an honest end answers."""

import hashlib

import wire
from errors import LIMIT, MALFORMED, need
from fields import Bool, Bytes, Key, List, Struct, Time, Uint

MARK = Struct("mark", [
    (1, "seq", Uint(), False),
    (2, "issued", Time(), False),
])

LOG = Struct("log of a state vector", [
    (1, "log", Key(), False),
    (2, "epoch", Uint(), False),
    (3, "seq", Uint(), False),
    (4, "hash", Bytes(32), False),
    (5, "frozen", Uint(1), True),
    (6, "head", MARK, True),
    (7, "claim", MARK, True),
    (8, "snapshot", Uint(1), True),
    (9, "owed", Uint(1), True),
])

STATE = Struct("state vector", [
    (1, "root", Uint(), False),
    (2, "logs", List(LOG, 1), True),
    (3, "hash", Bytes(32), True),
    (4, "forked", Bool(), True),
])


def _sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def point(asker, answerer, key):
    return _sha(b"aml-reconcile-point-v1", asker, answerer, key)[:16]


def value(asker, answerer, key, digest):
    return _sha(b"aml-reconcile-value-v1", asker, answerer, key, digest)[:16]


def _part(items):
    if not items:
        return bytes(20)
    total = sum(int.from_bytes(p + v, "big") for p, v in items) % 2**256
    return len(items).to_bytes(4, "big") + _sha(len(items).to_bytes(8, "big"), total.to_bytes(32, "big"))[:16]


def _within(items, prefix, bits):
    return [(p, v) for p, v in items if int.from_bytes(p, "big") >> (128 - bits) == prefix]


def answer(items, question):
    """The ranges of what is told by who has these items."""
    out = []
    for r in question["ranges"]:
        found = _within(items, r["prefix"], r["bits"])
        if "split" in r:
            n = 1 << r["split"]
            out.append({"parts": b"".join(_part(_within(items, r["prefix"] * n + i, r["bits"] + r["split"])) for i in range(n))})
            continue
        if "points" in r:
            found = [(p, v) for p, v in items if p in wire.cut(r["points"], 16)]
        else:
            need(len(found) <= wire.MAX_ITEMS, LIMIT, "all of a range of more items")
        found = b"".join(p + v for p, v in sorted(found))
        out.append({"items": found} if found else {})
    return out
