"""CHANNELS.md, Envelope and Verification: what one envelope must satisfy, given the root it stands under."""

import hashlib
from collections import namedtuple

import cbor
import ed25519
import text
from errors import CHAIN, EXPIRED, MALFORMED, NOT_AUTHORIZED, SIGNATURE, TOO_LARGE, VERSION, need
from fields import Bytes, Key, List, Struct, Text, itself
from structures import PAYLOADS, by, decode_payload

MAX_ENVELOPE = 1056768
TYPES = {"application/vnd.aml.%s+cbor" % kind: kind for kind in ("root", "manifest", "head")}
TYPES["application/vnd.aml.log-snapshot+cbor"] = "snapshot"

SIGNED_BY = Struct("signature", [
    (1, "key", Key(), False),
    (2, "sig", Bytes(64), False),
])


def _envelope(e):
    kind = TYPES[e["type"]]
    need(len(e["payload"]) <= PAYLOADS[kind][1], TOO_LARGE, "a %s of %d bytes" % (kind, len(e["payload"])))
    need(kind == "root" or len(e["signatures"]) == 1, MALFORMED, "more than one signature on a %s" % kind)


ENVELOPE = Struct("envelope", [
    (1, "type", Text(lambda s: need(s in TYPES, VERSION, "an unknown type")), False),
    (2, "payload", Bytes(most=MAX_ENVELOPE), False),
    (3, "signatures", List(SIGNED_BY, 1, 32, ascending=by("key")), False),
], _envelope)

# What an envelope says: its type's word, payload, the payload's hash, who signed it, and the structure.
Statement = namedtuple("Statement", "kind type payload hash signers found")


def pae(kind, payload):
    return b"DSSEv1 %d %s %d %s" % (len(kind.encode()), kind.encode(), len(payload), payload)


def open_envelope(data):
    """Sizes, then signatures, then the very bytes that were signed."""
    need(len(data) <= MAX_ENVELOPE, TOO_LARGE, "an envelope of over 1 MiB + 8 KiB")
    e = ENVELOPE.parse(cbor.decode(data))
    message = pae(e["type"], e["payload"])
    for s in e["signatures"]:
        need(ed25519.verify(s["key"], message, s["sig"]), SIGNATURE, "a signature that does not verify")
    kind = TYPES[e["type"]]
    found = decode_payload(kind, e["payload"])
    return Statement(kind, e["type"], e["payload"], hashlib.sha256(e["payload"]).digest(),
                     {s["key"] for s in e["signatures"]}, found)


def verify_root(new, before=None):
    """new as version 1, or as the version after before."""
    need(new.kind == "root", MALFORMED, "not a root")
    n, own = new.found, set(new.found["root"]["keys"])
    if before is None:
        need(n["version"] == 1, CHAIN, "a first root of another version than 1")
        need(new.signers <= own, NOT_AUTHORIZED, "signed by who is no root key")
        need(_reached(n["root"], new.signers), NOT_AUTHORIZED, "too few root keys signed")
        return
    follows(n, before)
    old = before.found
    need(new.signers <= may_sign(n, old), NOT_AUTHORIZED, "signed by a stranger too")
    need(_reached(n["root"], new.signers), NOT_AUTHORIZED, "too few of its own keys signed")
    recovery = old.get("recovery")
    need(_reached(old["root"], new.signers) or recovery and _reached(recovery, new.signers), NOT_AUTHORIZED,
         "too few of the keys before signed")


def may_sign(n, old):
    """The keys whose signatures count for n, the next after old."""
    recovery = old.get("recovery")
    return set(n["root"]["keys"]) | set(old["root"]["keys"]) | set(recovery["keys"] if recovery else ())


def follows(n, before):
    """What n must be as the next root, whoever signs it."""
    old = before.found
    need(n["version"] == old["version"] + 1, CHAIN, "not the next version")
    need(n["prev"] == before.hash, CHAIN, "names another predecessor")
    need(n["class"] == old["class"], CHAIN, "of another class")
    _revocations(n, old)
    _publishers(n, old)


def _reached(key_set, signers):
    return len(signers & set(key_set["keys"])) >= key_set["threshold"]


def _revocations(n, old):
    now = {r["key"]: r for r in n.get("revoked", [])}
    for was in old.get("revoked", []):
        r = now.get(was["key"])
        need(r, CHAIN, "a revocation taken back")
        need(r["seq"] < was["seq"] or r == was, CHAIN, "a revocation weakened")


def _publishers(n, old):
    now = {p["key"]: p for p in n["publishers"] if p["role"] == "publish"}
    revoked = {r["key"] for r in n.get("revoked", [])}
    for was in old["publishers"]:
        if was["role"] != "publish" or was["key"] in revoked:
            continue
        p = now.get(was["key"])
        need(p, CHAIN, "a publishing key dropped without revocation")
        need("expires" not in p or "expires" in was and p["expires"] >= was["expires"], CHAIN, "a life shortened")
        if "scopes" in p:
            need("scopes" in was, CHAIN, "scopes narrowed")
            need(all(any(text.within(s, t) for t in p["scopes"]) for s in was["scopes"]), CHAIN, "scopes narrowed")


def verify_manifest(m, channel, root):
    need(m.kind == "manifest", MALFORMED, "not a manifest")
    _stands_under(m, channel, root)
    need(m.signers == {m.found["log"]}, NOT_AUTHORIZED, "signed by another key than the log's")
    publisher = _listed(root, m.found["log"], "publish")
    _in_time(m, root, publisher)
    private = root.found["class"] == "private"
    need(("sealed" in m.found) == private, MALFORMED, "sealed in a public channel, or in clear in a private one")
    scopes = publisher.get("scopes")
    body = m.found.get("body", {})
    for item in body.get("entries", []) + body.get("removals", []):
        need(scopes is None or any(text.within(item["name"], s) for s in scopes), NOT_AUTHORIZED, "outside of the key's scopes")


def verify_head(h, channel, root):
    need(h.kind == "head", MALFORMED, "not a head")
    _stands_under(h, channel, root)
    signer = next(iter(h.signers))
    by_log = signer == h.found["log"]
    needed = [_listed(root, signer, "publish" if by_log else "head"), _listed(root, h.found["log"], "publish")]
    for publisher in needed:
        _in_time(h, root, publisher)
    need((h.found["epoch"] == 0) == (root.found["class"] == "public"), MALFORMED, "an epoch belongs to private channels")


def verify_snapshot(s, channel, root):
    need(s.kind == "snapshot", MALFORMED, "not a snapshot")
    _stands_under(s, channel, root)
    need(s.signers == {s.found["log"]}, NOT_AUTHORIZED, "signed by another key than the log's")
    _in_time(s, root, _listed(root, s.found["log"], "publish"))
    need((s.found["epoch"] == 0) == (root.found["class"] == "public"), MALFORMED, "an epoch belongs to private channels")


def _stands_under(statement, channel, root):
    found = statement.found
    need(found["channel"] == channel, CHAIN, "of another channel")
    need(found["root"] == root.found["version"], CHAIN, "under another root version")
    need(root.found["version"] != 1 or root.hash == channel, CHAIN, "a root of another channel")


def _listed(root, key, role):
    for p in root.found["publishers"]:
        if p["key"] == key and p["role"] == role:
            return p
    need(False, NOT_AUTHORIZED, "signed by or about a key that the root does not list for it")


def _in_time(statement, root, publisher):
    issued = statement.found["issued"]
    need(issued <= root.found["expires"], EXPIRED, "issued after the root expired")
    need("expires" not in publisher or issued <= publisher["expires"], EXPIRED, "issued after its key expired")
