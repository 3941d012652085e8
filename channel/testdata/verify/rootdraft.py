"""CHANNELS.md, Root draft: the next root of a channel on its way to enough signatures."""

import ed25519
import jsonform
import signed
import structures
import text
from errors import CHAIN, LIMIT, MALFORMED, NOT_AUTHORIZED, SIGNATURE, need

MAX_ROOTS_BEFORE = 4096
TYPE = "application/vnd.aml.root+cbor"


def root_draft(data):
    tree = jsonform.parse(data)
    need(type(tree) is dict, MALFORMED, "not an object")
    jsonform.look_at_version(tree, required=True)
    jsonform.strict(tree)
    need(set(tree) == {"version", "channel", "root", "signatures", "before"}, MALFORMED, "a member is missing or unknown")
    need(type(tree["channel"]) is str, MALFORMED, "a channel that is no text")
    need(type(tree["signatures"]) is list and type(tree["before"]) is list, MALFORMED, "signatures or roots that are no array")
    channel = text.channel_id(tree["channel"])
    found = structures.ROOT.parse(structures.ROOT.read(tree["root"]))
    signatures = [signed.SIGNED_BY.parse(signed.SIGNED_BY.read(s)) for s in tree["signatures"]]
    keys = [s["key"] for s in signatures]
    need(len(keys) <= 32, LIMIT, "more than 32 signatures")
    need(keys == sorted(set(keys)), MALFORMED, "signatures that do not ascend strictly")
    last = _last(channel, tree["before"])
    payload = structures.encode(structures.ROOT, found)
    signed.follows(found, last)
    for s in signatures:
        need(ed25519.verify(s["key"], signed.pae(TYPE, payload), s["sig"]), SIGNATURE, "a signature that does not verify")
        need(s["key"] in signed.may_sign(found, last.found), NOT_AUTHORIZED, "signed by a stranger")


def _last(channel, before):
    """The newest of the roots before, all verified as a late joiner does."""
    need(before, MALFORMED, "no root before it")
    need(len(before) <= MAX_ROOTS_BEFORE, LIMIT, "more than 4,096 roots before it")
    last = None
    for envelope in before:
        need(type(envelope) is str, MALFORMED, "a root that is no text")
        new = signed.open_envelope(text.un_hex(envelope, len(envelope) // 2))
        signed.verify_root(new, last)
        need(last or new.hash == channel, CHAIN, "roots of another channel")
        last = new
    return last
