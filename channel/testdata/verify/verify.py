#!/usr/bin/env python3
"""Reads the test vectors of channels, as CHANNELS.md, Test vectors, describes them, and agrees on every one or says where not.

    verify.py [DIR ...]    DIR: where the JSON files of vectors lie; without, those of this repository

A line for each file, with how many vectors there were and how many agree. Exit code 1 if one does not, or if there is a file,
a kind or a member that this program does not know.
"""

import hashlib
import json
import os
import sys

sys.dont_write_bytecode = True  # the repository stays as it is

import cbor
import ed25519
import hpke
import jsonform
import private
import reconcile
import rootdraft
import signed
import structures
import text
import wire
from errors import Refused

HERE = os.path.dirname(os.path.abspath(__file__))
TESTDATA = os.path.dirname(HERE)
DEFAULT = [os.path.join(TESTDATA, "vectors")] + [os.path.join(os.path.dirname(TESTDATA), d, "testdata", "vectors") for d in ("gossip", "keyfile")]


class Disagree(Exception):
    pass


def same(what, got, wanted):
    if got != wanted or type(got) is not type(wanted):
        raise Disagree("%s: %.200r here, %.200r in the vector" % (what, got, wanted))


def members(vector, required, optional=""):
    """A member that is not known here may say something that is not checked here."""
    have, must = set(vector), set(required.split())
    if not must <= have or not have <= must | set(optional.split()):
        raise Disagree("members are %s" % " ".join(sorted(have)))


# Each reader takes a file's JSON and yields (name, function that checks this vector).

def keys(data):
    def check(v):
        members(v, "name seed public")
        seed = hashlib.sha256(b"aml test key " + v["name"].encode()).digest()
        same("seed", seed.hex(), v["seed"])
        same("public", ed25519.public_key(seed).hex(), v["public"])
        text.un_hex(v["public"], 32)
        ed25519.check_key(bytes.fromhex(v["public"]))
    for v in data:
        yield v["name"], lambda v=v: check(v)


VERIFY = {"manifest": signed.verify_manifest, "head": signed.verify_head, "snapshot": signed.verify_snapshot}


def sound(data):
    """The statements of structures.json by name."""
    return {v["name"]: signed.open_envelope(bytes.fromhex(v["envelope"])) for v in data}


def structures_json(data):
    named = {v["name"]: v for v in data}

    def check(v):
        members(v, "name type channel discovery payload hash pae envelope json", "under")
        s = signed.open_envelope(bytes.fromhex(v["envelope"]))
        struct, _ = structures.PAYLOADS[s.kind]
        same("type", s.type, v["type"])
        same("payload", s.payload.hex(), v["payload"])
        same("hash", s.hash.hex(), v["hash"])
        same("pae", signed.pae(v["type"], s.payload).hex(), v["pae"])
        channel = text.channel_id(v["channel"])
        same("discovery", text.discovery_key(channel).hex(), v["discovery"])
        same("payload, encoded again", structures.encode(struct, s.found).hex(), v["payload"])
        same("json", struct.show(s.found), v["json"])
        same("payload, from json", structures.encode(struct, struct.parse(struct.read(v["json"]))).hex(), v["payload"])
        under = signed.open_envelope(bytes.fromhex(named[v["under"]]["envelope"])) if "under" in v else None
        if s.kind != "root":
            VERIFY[s.kind](s, channel, under)
            return
        signed.verify_root(s, under)
        if under:
            same("channel", v["channel"], named[v["under"]]["channel"])
        else:
            same("channel", text.base32(s.hash), v["channel"])
    for v in data:
        yield v["name"], lambda v=v: check(v)


def bodies(data):
    def check(v):
        members(v, "name body json")
        body = structures.decode_body(bytes.fromhex(v["body"]))
        same("body, encoded again", structures.encode(structures.BODY, body).hex(), v["body"])
        same("json", structures.BODY.show(body), v["json"])
        read = structures.BODY.parse(structures.BODY.read(v["json"]))
        same("body, from json", structures.encode(structures.BODY, read).hex(), v["body"])
    for v in data:
        yield v["name"], lambda v=v: check(v)


def pages_json(data, statements):
    def page(v):
        members(v, "name snapshot place page hash live json")
        raw = bytes.fromhex(v["page"])
        found = structures.page_of(statements[v["snapshot"]].found, v["place"], raw)
        same("hash", hashlib.sha256(raw).hexdigest(), v["hash"])
        same("live", [{"seq": n, "hash": h.hex()} for n, h in structures.listed(found, v["place"])], v["live"])
        same("page, encoded again", structures.encode(structures.PAGE, found).hex(), v["page"])
        same("json", structures.PAGE.show(found), v["json"])
        read = structures.PAGE.parse(structures.PAGE.read(v["json"]))
        same("page, from json", structures.encode(structures.PAGE, read).hex(), v["page"])

    def refuse(v):
        members(v, "name place page error", "snapshot payload")
        if "payload" in v:
            snapshot = structures.decode_payload("snapshot", bytes.fromhex(v["payload"]))
        else:
            snapshot = statements[v["snapshot"]].found
        refused(lambda: structures.page_of(snapshot, v["place"], bytes.fromhex(v["page"])), v["error"])

    checks = {"pages": page, "refused": refuse}
    for group in data:
        if group not in checks:
            yield group, lambda group=group: members({group: 0}, "", " ".join(checks))
            continue
        for v in data[group]:
            yield "%s %s" % (group, v["name"]), lambda v=v, check=checks[group]: check(v)


INPUTS = {"file-entries": jsonform.file_entries, "draft": jsonform.draft, "root-draft": rootdraft.root_draft}


def texts(data):
    def topic(v):
        members(v, "in topic key")
        same("topic", text.normal_topic(v["in"]), v["topic"])
        text.topic(v["topic"])
        same("key", text.topic_key(v["topic"]).hex(), v["key"])

    def address(v):
        members(v, "in address id", "path readKey")
        for written in (v["in"], v["address"]):
            channel, path, key = text.address(written)
            same("id", text.base32(channel), v["id"])
            same("path", path, v.get("path"))
            same("readKey", key and key.hex(), v.get("readKey"))
            same("address", text.format_address(channel, path, key), v["address"])

    def given(v):
        members(v, "name kind text")
        INPUTS[v["kind"]](v["text"].encode())

    checks = {"names": text.name, "topics": topic, "mirrors": text.mirror, "addresses": address, "inputs": given}
    for group in data:
        if group not in checks:
            yield group, lambda group=group: members({group: 0}, "", " ".join(checks))
            continue
        for i, v in enumerate(data[group]):
            yield "%s %d" % (group, i), lambda v=v, check=checks[group]: check(v)


# What reads each kind of invalid.json. A kind that is not here is a disagreement.
KINDS = {
    "envelope": lambda v, roots: signed.open_envelope(raw(v)),
    "root": lambda v, roots: structures.decode_payload("root", raw(v)),
    "manifest": lambda v, roots: structures.decode_payload("manifest", raw(v)),
    "head": lambda v, roots: structures.decode_payload("head", raw(v)),
    "snapshot": lambda v, roots: structures.decode_payload("snapshot", raw(v)),
    "page": lambda v, roots: structures.decode_payload("page", raw(v)),
    "body": lambda v, roots: structures.decode_body(raw(v)),
    "signed-root": lambda v, roots: signed.verify_root(itself_sound(v), roots[v["under"]] if "under" in v else None),
    "signed-manifest": lambda v, roots: under_root(signed.verify_manifest, v, roots),
    "signed-head": lambda v, roots: under_root(signed.verify_head, v, roots),
    "signed-snapshot": lambda v, roots: under_root(signed.verify_snapshot, v, roots),
    "name": lambda v, roots: text.name(v.get("text", "")),
    "name-hex": lambda v, roots: text.name(bytes.fromhex(v["text"]).decode("utf-8", "surrogateescape")),
    "topic": lambda v, roots: text.normal_topic(v.get("text", "")),
    "strict-topic": lambda v, roots: text.topic(v["text"]),
    "mirror": lambda v, roots: text.mirror(v.get("text", "")),
    "address": lambda v, roots: text.address(v.get("text", "")),
    "channel-id": lambda v, roots: text.channel_id(v["text"]),
    "public-key": lambda v, roots: ed25519.check_key(text.un_hex(v["text"], 32)),
    "hash": lambda v, roots: text.un_hex(v["text"], 32),
    "key-file": lambda v, roots: jsonform.key_file(v.get("text", "")),
    "file-entries": lambda v, roots: jsonform.file_entries(v.get("text", "").encode()),
    "draft": lambda v, roots: jsonform.draft(v.get("text", "").encode()),
    "root-draft": lambda v, roots: rootdraft.root_draft(v.get("text", "").encode()),
    "sealed": lambda v, roots: private.decode_sealed(raw(v)),
    "keyring": lambda v, roots: private.decode_keyring(raw(v)),
    "member": lambda v, roots: private.member(v.get("text", "")),
    "member-file": lambda v, roots: private.member_file(v.get("text", "")),
}


def raw(v):
    return bytes.fromhex(v.get("hex", ""))


def itself_sound(v):
    """What is wrong with a signed vector is not to be found without its root."""
    try:
        return signed.open_envelope(raw(v))
    except Refused as e:
        raise Disagree("not sound by itself: %s" % e)


def under_root(verify, v, roots):
    verify(itself_sound(v), text.channel_id(v["channel"]), roots[v["under"]])


def refused(read, wanted):
    """The error with which read refuses is wanted; None for no error."""
    try:
        read()
    except Refused as e:
        if e.error != wanted:
            raise Disagree("%s here (%s), %s in the vector" % (e.error, e, wanted))
        return
    if wanted is not None:
        raise Disagree("accepted here, %s in the vector" % wanted)


def invalid(data, roots):
    def check(v):
        members(v, "name kind error", "hex text under channel")
        if v["kind"] not in KINDS:
            raise Disagree("an unknown kind: %s" % v["kind"])
        refused(lambda: KINDS[v["kind"]](v, roots), v["error"])
    for v in data:
        yield v["name"], lambda v=v: check(v)


def wire_json(data):
    def check(v):
        members(v, "kind what hex", "error")
        if v["kind"] not in wire.KINDS:
            raise Disagree("an unknown kind: %s" % v["kind"])
        refused(lambda: wire.decode(v["kind"], raw(v)), v.get("error"))
        if "error" not in v:
            same("encoded again", wire.encode(v["kind"], wire.decode(v["kind"], raw(v))).hex(), v["hex"])
    for v in data:
        yield "%s: %s" % (v["kind"], v["what"]), lambda v=v: check(v)


def reconcile_json(data):
    def state(v):
        members(v, "name state digest")
        raw_state = bytes.fromhex(v["state"])
        found = reconcile.STATE.parse(cbor.decode(raw_state))
        same("state, encoded again", structures.encode(reconcile.STATE, found).hex(), v["state"])
        logs = [x["log"] for x in found.get("logs", [])]
        same("logs ascend", logs, sorted(set(logs)))
        same("digest", hashlib.sha256(raw_state).hexdigest(), v["digest"])

    def session(v):
        members(v, "name asker answerer channels answers")
        asker, answerer = bytes.fromhex(v["asker"]), bytes.fromhex(v["answerer"])
        items = []
        for c in v["channels"]:
            members(c, "key digest point value")
            key = bytes.fromhex(c["key"])
            items.append((reconcile.point(asker, answerer, key), reconcile.value(asker, answerer, key, bytes.fromhex(c["digest"]))))
            same("point", items[-1][0].hex(), c["point"])
            same("value", items[-1][1].hex(), c["value"])
        for a in v["answers"]:
            members(a, "question told")
            question = wire.decode("request", bytes.fromhex(a["question"]))["question"]
            told = {"ranges": reconcile.answer(items, question)}
            if "salt" in question:
                same("salt", question["salt"].hex(), v["asker"])
                told["salt"] = answerer
            same("told", wire.encode("told", told).hex(), a["told"])

    members(data, "wire states sessions")
    yield from wire_json(data["wire"])
    for v in data["states"]:
        yield "state: " + v["name"], lambda v=v: state(v)
    for v in data["sessions"]:
        yield "session: " + v["name"], lambda v=v: session(v)


def keyfiles(data):
    def check(v):
        members(v, "name text", "plugin public error")
        refused(lambda: jsonform.plugin_file(v["text"]), v.get("error"))
        if "error" not in v:
            plugin, public = jsonform.plugin_file(v["text"])
            same("plugin", plugin, v["plugin"])
            same("public", public.hex(), v["public"])

    members(data, "plugin")
    for v in data["plugin"]:
        yield v["name"], lambda v=v: check(v)


def private_json(data):
    seeds = {}

    def person(v):
        members(v, "name seed public text short")
        seed = hashlib.sha256(b"aml test key member " + v["name"].encode()).digest()
        same("seed", seed.hex(), v["seed"])
        public = hpke.key_pair(seed)[1]
        same("public", public.hex(), v["public"])
        same("public, from text", private.member(v["text"]).hex(), v["public"])
        same("text", private.format_member(public), v["text"])
        same("short", private.short(public), v["short"])

    def keyring(v):
        members(v, "name channel epoch readKey members not blob id info key plain secrets")
        blob, channel, epoch = bytes.fromhex(v["blob"]), text.channel_id(v["channel"]), v["epoch"]
        read_key = bytes.fromhex(v["readKey"])
        ring = private.decode_keyring(blob)
        same("id", hashlib.sha256(blob).hexdigest(), v["id"])
        same("blob, encoded again", structures.encode(private.KEYRING, ring).hex(), v["blob"])
        same("info", private.keyring_info(channel, epoch).hex(), v["info"])
        same("key", private.keys(read_key, ring["salt"], private.keyring_info(channel, epoch))[0].hex(), v["key"])
        plain, secrets = private.open_keyring(ring, channel, epoch, read_key)
        same("plain", plain.hex(), v["plain"])
        same("plain, encoded again", structures.encode(private.SECRETS, secrets).hex(), v["plain"])
        same("secrets", private.SECRETS.show(secrets), v["secrets"])
        for name in v["members"]:
            same("found by " + name, private.find(ring, channel, epoch, seeds[name]).hex(), v["readKey"])
        for name in v["not"]:
            refused(lambda: private.find(ring, channel, epoch, seeds[name]), "ErrReadKey")

    def sealed(v):
        members(v, "name manifest readKey info key plain json")
        m = structures.decode_payload("manifest", bytes.fromhex(v["manifest"]))
        s, read_key = private.decode_sealed(m["sealed"]), bytes.fromhex(v["readKey"])
        same("sealed, encoded again", structures.encode(private.SEALED, s).hex(), m["sealed"].hex())
        same("info", private.body_info(m).hex(), v["info"])
        same("key", private.keys(read_key, s["salt"], private.body_info(m))[0].hex(), v["key"])
        plain, body = private.unseal(m, read_key)
        same("plain", plain.hex(), v["plain"])
        same("plain, encoded again", structures.encode(private.SEALED_BODY, body).hex(), v["plain"])
        same("json", private.SEALED_BODY.show(body), v["json"])

    def refuse(v):
        members(v, "name readKey error", "manifest keyring channel epoch")
        read_key = bytes.fromhex(v["readKey"])
        if "manifest" in v:
            refused(lambda: private.unseal(structures.decode_payload("manifest", bytes.fromhex(v["manifest"])), read_key), v["error"])
            return
        ring = private.decode_keyring(bytes.fromhex(v["keyring"]))
        refused(lambda: private.open_keyring(ring, text.channel_id(v["channel"]), v["epoch"], read_key), v["error"])

    checks = {"members": person, "keyrings": keyring, "sealed": sealed, "refused": refuse}
    for v in data.get("members", []):
        seeds[v["name"]] = bytes.fromhex(v["seed"])
    for group in data:
        if group not in checks:
            yield group, lambda group=group: members({group: 0}, "", " ".join(checks))
            continue
        for v in data[group]:
            yield "%s %s" % (group, v["name"]), lambda v=v, check=checks[group]: check(v)


# What reads each file. New formats add theirs here, and in KINDS.
FILES = {
    "keys.json": keys,
    "structures.json": structures_json,
    "pages.json": pages_json,
    "bodies.json": bodies,
    "texts.json": texts,
    "private.json": private_json,
    "invalid.json": invalid,
    "wire.json": wire_json,
    "reconcile.json": reconcile_json,
    "keyfiles.json": keyfiles,
}


def main(dirs):
    paths = {name: os.path.join(d, name) for d in dirs for name in sorted(os.listdir(d)) if name.endswith(".json")}
    faults = ["%s: there is no such file" % name for name in FILES if name not in paths]
    faults += ["%s: a file that is not known here" % name for name in paths if name not in FILES]
    total = 0
    for name in FILES:
        if name not in paths:
            continue
        try:
            count, wrong = read_file(name, paths)
        except Exception as e:  # the file as a whole is not what it should be
            count, wrong = 0, ["%s: %s: %s" % (name, type(e).__name__, e)]
        print("%-16s %4d vectors, %4d agree" % (name, count, count - len(wrong)))
        total += count
        faults += wrong
    for fault in faults:
        print("DISAGREE", ascii(fault)[1:-1])
    print("%s: %d vectors, %d disagreements" % ("FAIL" if faults else "ok", total, len(faults)))
    return 1 if faults else 0


def read_file(name, paths):
    data = load(paths[name])
    checks = FILES[name](data, sound(load(paths["structures.json"]))) if name in ("invalid.json", "pages.json") else FILES[name](data)
    count, wrong = 0, []
    for vector, check in checks:
        count += 1
        try:
            check()
        except Exception as e:  # Refused, Disagree, or a vector of a form that nothing here expects
            wrong.append("%s: %s: %s: %s" % (name, vector, type(e).__name__, e))
    return count, wrong


def load(path):
    with open(path, "rb") as f:
        return json.loads(f.read().decode("utf-8"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or DEFAULT))
