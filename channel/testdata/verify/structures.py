"""The tables of CHANNELS.md: Root, Manifest, Head, Snapshot and what is in them, with the rules that need nothing but the structure.

What private channels have beside them is in private.py.
"""

import hashlib
import re

import cbor
import text
from errors import CHAIN, LIMIT, MALFORMED, NAME, TOO_LARGE, VERSION, need
from fields import ChannelID, Bytes, Key, List, Mode, Pairs, Struct, Text, Time, Uint, itself, line, one_of, prose

MAX_INLINE_BODY = 32768
MAX_BODY = 2097152
MAX_SEALED_BODY = 40960
MAX_HEAD_LIFE = 7776000
MAX_PAGE = 36864
MAX_PAGES = PAGE_SPAN = 1024

FORMAT = Uint(1, 1, VERSION)
NAME_TEXT = Text(text.name)


def by(field):
    return lambda item: itself(item[field])


# Root

def _key_set(s):
    need(1 <= s["threshold"] <= len(s["keys"]), MALFORMED, "a threshold that its keys cannot reach, or 0")


def _publisher(p):
    need(p["role"] == "publish" or "scopes" not in p, MALFORMED, "a head key with scopes")


def _revoked(r):
    need((r["seq"] == 0) == (not any(r["hash"])), MALFORMED, "a revocation with a number and no hash, or the reverse")


def _root(r):
    first = r["version"] == 1
    need(first == ("nonce" in r), MALFORMED, "a nonce belongs to version 1 and to no other")
    need(first == ("prev" not in r), CHAIN, "a predecessor belongs to every version but 1")
    need(not first or "revoked" not in r, CHAIN, "version 1 revokes")
    recovery = r.get("recovery", {"keys": []})["keys"]
    need(not set(recovery) & set(r["root"]["keys"]), MALFORMED, "a recovery key that is a root key")
    revoked = {x["key"] for x in r.get("revoked", [])}
    need(not revoked & {p["key"] for p in r["publishers"]}, MALFORMED, "a revoked key that is a publisher")


KEY_SET = Struct("key set", [
    (1, "keys", List(Key(), 1, 16, ascending=itself), False),
    (2, "threshold", Uint(), False),
], _key_set)

PUBLISHER = Struct("publisher", [
    (1, "key", Key(), False),
    (2, "role", one_of("publish", "head"), False),
    (3, "scopes", List(NAME_TEXT, 1, 16, ascending=itself), True),
    (4, "expires", Time(), True),
    (5, "name", Text(text.publisher_name), True),
], _publisher)

REVOKED = Struct("revocation", [
    (1, "key", Key(), False),
    (2, "seq", Uint(), False),
    (3, "hash", Bytes(32), False),
], _revoked)

ROOT = Struct("root", [
    (1, "format", FORMAT, False),
    (2, "version", Uint(1, error=CHAIN), False),
    (3, "topics", List(Text(text.topic), 1, 8, ascending=itself), False),
    (4, "title", line(256), False),
    (5, "class", one_of("public", "private"), False),
    (6, "kind", one_of("media", "update"), False),
    (7, "root", KEY_SET, False),
    (8, "publishers", List(PUBLISHER, 0, 32, ascending=by("key")), False),
    (9, "recovery", KEY_SET, True),
    (10, "expires", Time(), False),
    (11, "nonce", Bytes(16), True),
    (12, "prev", Bytes(32), True),
    (13, "revoked", List(REVOKED, 1, 64, ascending=by("key")), True),
], _root)


# Body and what is in it

def _file_entry(e):
    need(e["root"]["size"] == e["size"], MALFORMED, "a size that is not the reference's")
    need(any(e["root"]["id"]), MALFORMED, "a reference to no blob")
    depth = e["depth"]
    least = 65536 * 1024 ** (depth - 1) + 1 if depth > 1 else 0
    need(least <= e["size"] <= 2097152 * 1024 ** depth, MALFORMED, "a size that does not fit the depth")


def _body(b):
    need(b, MALFORMED, "a body with nothing in it")
    entries = {e["name"] for e in b.get("entries", [])}
    no_folders(entries)
    need(not entries & {r["name"] for r in b.get("removals", [])}, NAME, "a name put and removed")


def no_folders(names):
    for name in names:
        parts = name.split("/")
        above = {"/".join(parts[:i]) for i in range(1, len(parts))}
        need(not above & names, NAME, "an entry that is another's folder")


REF = Struct("reference", [
    (1, "id", Bytes(32), False),
    (2, "key", Bytes(32), False),
    (3, "size", Uint(), False),
    (4, "tree", Bytes(32), False),
])

FILE_ENTRY = Struct("entry", [
    (1, "name", NAME_TEXT, False),
    (2, "size", Uint(), False),
    (3, "mediaType", Text(text.media_type), True),
    (4, "sha256", Bytes(32), False),
    (5, "mode", Mode(0, 0o777), False),
    (6, "depth", Uint(0, 3), False),
    (7, "root", REF, False),
    (8, "modified", Time(), True),
    (9, "attrs", Pairs(), True),
], _file_entry, json_version=1)

REMOVAL = Struct("removal", [
    (1, "name", NAME_TEXT, False),
    (2, "reason", line(1024), True),
])

BODY = Struct("body", [
    (1, "title", line(256), True),
    (2, "description", prose(16384), True),
    (3, "metadata", Pairs(), True),
    (4, "entries", List(FILE_ENTRY, 1, 4096, ascending=by("name"), twice=NAME), True),
    (5, "removals", List(REMOVAL, 1, 4096, ascending=by("name"), twice=NAME), True),
], _body)


# Manifest and head

def _manifest(m):
    need((m["seq"] == 1) == ("prev" not in m), CHAIN, "a predecessor belongs to every number but 1")
    need(sum(x in m for x in ("body", "bodyRef", "sealed")) == 1, MALFORMED, "not exactly one of body, bodyRef and sealed")
    need((m["epoch"] > 0) == ("sealed" in m), MALFORMED, "an epoch belongs to what is sealed, and to nothing else")
    check_body(m)
    check_body_ref(m)


def check_body(m):
    if "body" in m:
        need(len(cbor.encode(BODY.build(m["body"]))) <= MAX_INLINE_BODY, TOO_LARGE, "a body of over 32 KiB in the manifest")


def check_body_ref(m):
    if "bodyRef" in m:
        need(any(m["bodyRef"]["id"]), MALFORMED, "a reference to no blob")
        need(m["bodyRef"]["size"] > 0, MALFORMED, "a reference to an empty body")
        need(m["bodyRef"]["size"] <= MAX_BODY, TOO_LARGE, "a reference to a body of over 2 MiB")


def _head(h):
    need(h["expires"] > h["issued"], MALFORMED, "expires before it is issued")
    need(h["expires"] - h["issued"] <= MAX_HEAD_LIFE, LIMIT, "lives over 90 days")
    mirrors = h.get("mirrors", [])
    need(len(set(mirrors)) == len(mirrors), MALFORMED, "the same mirror twice")


MANIFEST = Struct("manifest", [
    (1, "format", FORMAT, False),
    (2, "channel", ChannelID(), False),
    (3, "root", Uint(1, error=CHAIN), False),
    (4, "log", Key(), False),
    (5, "epoch", Uint(), False),
    (6, "seq", Uint(1, error=CHAIN), False),
    (7, "prev", Bytes(32), True),
    (8, "issued", Time(), False),
    (9, "body", BODY, True),
    (10, "bodyRef", REF, True),
    (11, "sealed", Bytes(most=MAX_SEALED_BODY, many=TOO_LARGE), True),
    (12, "inventory", Bytes(32, zero=False), True),
], _manifest)

HEAD = Struct("head", [
    (1, "format", FORMAT, False),
    (2, "channel", ChannelID(), False),
    (3, "root", Uint(1, error=CHAIN), False),
    (4, "log", Key(), False),
    (5, "epoch", Uint(), False),
    (6, "seq", Uint(1, error=CHAIN), False),
    (7, "hash", Bytes(32, zero=False), False),
    (8, "issued", Time(), False),
    (9, "expires", Time(), False),
    (10, "mirrors", List(Text(text.mirror), 1, 16), True),
], _head)


# Snapshot

def _snapshot(s):
    need(s["seq"] <= MAX_PAGES * PAGE_SPAN, LIMIT, "a snapshot of over 1,048,576 numbers")
    pages = s["pages"]
    need(len(pages) == (s["seq"] + PAGE_SPAN - 1) // PAGE_SPAN, MALFORMED, "not a page for every 1,024 numbers begun")
    for i, ref in enumerate(pages):
        need(ref["count"] <= min(PAGE_SPAN, s["seq"] - PAGE_SPAN * i), MALFORMED, "a page with more manifests than numbers")
        need((ref["count"] == 0) == (not any(ref["hash"])), MALFORMED, "a page with a hash and no manifests, or the reverse")
    need(pages[-1]["count"] > 0, MALFORMED, "a last page without manifest S")


PAGE_REF = Struct("page reference", [
    (1, "hash", Bytes(32), False),
    (2, "count", Uint(), False),
])

SNAPSHOT = Struct("snapshot", [
    (1, "format", FORMAT, False),
    (2, "channel", ChannelID(), False),
    (3, "root", Uint(1, error=CHAIN), False),
    (4, "log", Key(), False),
    (5, "epoch", Uint(), False),
    (6, "seq", Uint(1, error=CHAIN), False),
    (7, "hash", Bytes(32, zero=False), False),
    (8, "issued", Time(), False),
    (9, "pages", List(PAGE_REF, 0, MAX_PAGES), False),
], _snapshot)


class Hashes(Bytes):
    def __init__(self):
        super().__init__(most=MAX_PAGE)


def _page(p):
    hashes = split(p["hashes"])
    need(len(p["hashes"]) == 32 * len(p["numbers"]), MALFORMED, "not a hash for every number")
    need(all(any(h) for h in hashes), MALFORMED, "a hash of zeros")


def split(hashes):
    return [hashes[i:i + 32] for i in range(0, len(hashes), 32)]


PAGE = Struct("page", [
    (1, "format", FORMAT, False),
    (2, "numbers", List(Uint(1, PAGE_SPAN), 1, PAGE_SPAN, ascending=itself), False),
    (3, "hashes", Hashes(), False),
], _page)

# How a payload of another format begins: a map, its key 1, and the head of an unsigned integer that is not 1.
OTHER_FORMAT = re.compile(rb"([\xa1-\xb7]|\xb8.)\x01[\x00\x02-\x1b]", re.DOTALL)

PAYLOADS = {"root": (ROOT, 16384), "manifest": (MANIFEST, 1048576), "head": (HEAD, 2048), "snapshot": (SNAPSHOT, 49152),
            "page": (PAGE, MAX_PAGE)}


def decode_payload(kind, payload):
    """The root, manifest, head, snapshot or page in payload."""
    struct, most = PAYLOADS[kind]
    need(payload, MALFORMED, "empty")
    need(len(payload) <= most, TOO_LARGE, "a %s of over %d bytes" % (kind, most))
    need(not OTHER_FORMAT.match(payload), VERSION, "a format of another version")
    return struct.parse(cbor.decode(payload))


def decode_body(data):
    need(len(data) <= MAX_BODY, TOO_LARGE, "a body of over 2 MiB")
    return BODY.parse(cbor.decode(data))


def page_of(snapshot, place, data):
    """Page place, from 0, of the snapshot."""
    pages = snapshot["pages"]
    need(place < len(pages) and pages[place]["count"] > 0, CHAIN, "the snapshot has no such page")
    need(hashlib.sha256(data).digest() == pages[place]["hash"], CHAIN, "not that page of the snapshot")
    page = decode_payload("page", data)
    need(len(page["numbers"]) == pages[place]["count"], MALFORMED, "not as many manifests as the snapshot says")
    live = listed(page, place)
    need(live[-1][0] <= snapshot["seq"], MALFORMED, "a manifest beyond the snapshot's")
    if place == len(pages) - 1:
        need(live[-1] == (snapshot["seq"], snapshot["hash"]), MALFORMED, "a last page that does not end with the snapshot's manifest")
    return page


def listed(page, place):
    """The (number, hash) of each manifest that a page lists in its place."""
    return [(PAGE_SPAN * place + n, h) for n, h in zip(page["numbers"], split(page["hashes"]))]


def encode(struct, found):
    return cbor.encode(struct.build(found))
