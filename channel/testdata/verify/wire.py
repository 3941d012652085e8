"""CHANNELS.md, Gossip and Sync: what goes over the wire, as far as one message or frame shows it."""

import cbor
from errors import LIMIT, MALFORMED, TOO_LARGE, need
from fields import Bool, Bytes, Key, List, Struct, Uint

MAX_MESSAGE = 131072
MAX_REQUEST = 4096
MAX_ANSWER = 1114112
MAX_FORK = 131072
HEADS, ROOTS, MANIFESTS, LISTING, KNOCK, SNAPSHOT, LIVE = range(1, 8)
RECONCILE = 8
MAX_ITEMS = 96

# A gossip message: an array of 1 to 8 envelopes.
MESSAGE = List(Bytes(most=MAX_MESSAGE), 1, 8, few=LIMIT)


def cut(data, size):
    need(len(data) % size == 0, MALFORMED, "half a record")
    return [data[i:i + size] for i in range(0, len(data), size)]


def _range(r):
    split = r.get("split", 0)
    need(r["bits"] + split <= 60 and r["prefix"] >> r["bits"] == 0, MALFORMED, "a range that cannot be")
    if "points" in r:
        points = cut(r["points"], 16)
        need(not split and len(points) <= MAX_ITEMS, MALFORMED, "points to divide, or too many")
        need(all(a < b for a, b in zip(points, points[1:])), MALFORMED, "points that do not ascend")
        need(all(int.from_bytes(p, "big") >> (128 - r["bits"]) == r["prefix"] for p in points), MALFORMED, "a point of elsewhere")


RANGE = Struct("range", [
    (1, "prefix", Uint(), False),
    (2, "bits", Uint(0, 60), False),
    (3, "split", Uint(1, 6), True),
    (4, "points", Bytes(most=MAX_REQUEST), True),
], _range)


def _question(q):
    ranges = q["ranges"]
    need(1 <= len(ranges) <= 64, MALFORMED, "no ranges, or over 64")
    if "salt" in q:
        need(len(ranges) == 1 and ranges[0]["bits"] == 0 and "split" in ranges[0], MALFORMED, "an opening asks for parts of all")
    need(sum(len(r.get("points", b"")) for r in ranges) <= 16 * 160, MALFORMED, "over 160 points")


QUESTION = Struct("question", [
    (1, "salt", Bytes(16), True),
    (2, "ranges", List(RANGE), False),
], _question)


def _told_range(r):
    need(not ("parts" in r and "items" in r), MALFORMED, "parts and items")
    need(len(cut(r.get("parts", b""), 20)) <= 64 and len(cut(r.get("items", b""), 32)) <= MAX_ITEMS, MALFORMED, "too many")


TOLD_RANGE = Struct("what is told of a range", [
    (1, "parts", Bytes(most=MAX_ANSWER), True),
    (2, "items", Bytes(most=MAX_ANSWER), True),
], _told_range)


def _told(t):
    need(len(t["ranges"]) <= 64, MALFORMED, "over 64 ranges")
    need("salt" not in t or len(t["ranges"]) == 1, MALFORMED, "an opening asks for one range")


TOLD = Struct("told", [
    (1, "salt", Bytes(16), True),
    (2, "ranges", List(TOLD_RANGE), False),
], _told)


def _request(r):
    kind, keys = r["kind"], r["keys"]
    need(("question" in r) == (kind == RECONCILE), MALFORMED, "a question belongs to reconciliation")
    if kind == RECONCILE:
        need(set(r) == {"kind", "keys", "question"} and not keys, MALFORMED, "a reconciliation with more than its question")
        return
    need(HEADS <= kind <= LIVE, MALFORMED, "an unknown kind")
    ranged = kind in (ROOTS, MANIFESTS, LIVE) or kind == SNAPSHOT and ("from" in r or "to" in r)
    need(len(set(keys)) == len(keys), MALFORMED, "a key twice")
    need(1 <= len(keys) <= (64 if kind in (HEADS, KNOCK) else 1), MALFORMED, "too few or too many keys for this kind")
    need(("log" in r) == (kind in (MANIFESTS, SNAPSHOT, LIVE)), MALFORMED, "a log belongs to what is asked of a log")
    need(("hash" in r) == (kind == LIVE), MALFORMED, "a hash belongs to live manifests")
    need(ranged == ("from" in r) and ranged == ("to" in r), MALFORMED, "a range belongs to roots, manifests and pages")
    if ranged:
        need(0 <= r["to"] - r["from"] < 4096, MALFORMED, "a range that is backwards, or of more than 4,096")
        need(kind != SNAPSHOT or r["to"] <= 1024, MALFORMED, "a page of over 1,024")


REQUEST = Struct("request", [
    (1, "kind", Uint(), False),
    (2, "keys", List(Bytes(32)), False),
    (3, "log", Key(), True),
    (4, "from", Uint(), True),
    (5, "to", Uint(), True),
    (6, "hash", Bytes(32), True),
    (7, "question", QUESTION, True),
], _request)


def _fork(f):
    need(len(f["a"]) + len(f["b"]) <= MAX_FORK, LIMIT, "a proof of over 131,072 bytes")


def _log_state(s):
    need(s.get("snapshot", 0) <= s["seq"], MALFORMED, "a snapshot beyond the log")


LOG_STATE = Struct("state of a log", [
    (1, "log", Key(), False),
    (2, "seq", Uint(1), False),
    (3, "hash", Bytes(32), False),
    (4, "epoch", Uint(), True),
    (5, "snapshot", Uint(), True),
], _log_state)

FORK = Struct("fork", [
    (1, "a", Bytes(most=MAX_FORK, many=LIMIT), False),
    (2, "b", Bytes(most=MAX_FORK, many=LIMIT), False),
], _fork)


def _section(s):
    need(("root" in s) == ("hash" in s), MALFORMED, "root and hash go together")
    logs = [x["log"] for x in s.get("logs", [])]
    need(len(set(logs)) == len(logs), MALFORMED, "a log twice")


SECTION = Struct("section", [
    (1, "key", Bytes(32), False),
    (2, "root", Uint(), True),
    (3, "logs", List(LOG_STATE, 1, 128), True),
    (4, "items", List(Bytes(most=MAX_ANSWER)), True),
    (5, "forks", List(FORK, 1, 16), True),
    (6, "hash", Bytes(32), True),
], _section)


def _answer(a):
    keys = [s["key"] for s in a["sections"]]
    need(len(set(keys)) == len(keys), MALFORMED, "a channel twice")
    items = [item for s in a["sections"] for item in s.get("items", [])]
    need(len(items) <= 256, LIMIT, "more than 256 envelopes")
    need(len(items) <= 1 or sum(map(len, items)) <= 1048576, LIMIT, "over 1 MiB of envelopes")


ANSWER = Struct("answer", [
    (1, "sections", List(SECTION), False),
    (2, "more", Bool(), False),
], _answer)

KINDS = {"message": (MESSAGE, MAX_MESSAGE), "request": (REQUEST, MAX_REQUEST), "answer": (ANSWER, MAX_ANSWER), "told": (TOLD, MAX_ANSWER)}


def decode(kind, data):
    what, most = KINDS[kind]
    need(len(data) <= most, TOO_LARGE if kind == "message" else LIMIT, "a %s of over %d bytes" % (kind, most))
    found = what.shape(cbor.decode(data))
    what.check(found)
    return found


def encode(kind, found):
    return cbor.encode(KINDS[kind][0].build(found))
