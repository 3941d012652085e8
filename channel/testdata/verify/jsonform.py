"""CHANNELS.md, JSON: strict reading of what people and programs hand in (file_entry.json, manifest.json), and key files."""

import base64
import binascii
import itertools
import json
import re

import ed25519
import text
from errors import LIMIT, MALFORMED, NAME, TOO_LARGE, VERSION, Refused, need
from fields import Pairs
from structures import FILE_ENTRY, no_folders

MAX_JSON = 16777216


class Odd:
    """A number that JSON allows and this text does not: with a sign, a fraction or an exponent, or over 2^53."""


def parse(data):
    """JSON with no member twice."""
    need(len(data) <= MAX_JSON, TOO_LARGE, "over 16 MiB")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_int=_number, parse_float=lambda s: Odd(),
                          parse_constant=_constant)
    except (ValueError, RecursionError) as e:
        raise Refused(MALFORMED, "not JSON: %s" % e)


def _object(pairs):
    need(len({key for key, _ in pairs}) == len(pairs), MALFORMED, "a member twice")
    return dict(pairs)


def _number(s):
    return int(s) if s.isdigit() and len(s) <= 16 and int(s) <= 1 << 53 else Odd()


def _constant(word):
    raise ValueError(word)  # NaN and Infinity, which Python takes for JSON


def strict(value):
    """Refuses what is left that JSON allows and this text does not."""
    need(value is not None and not isinstance(value, Odd), MALFORMED, "null, or a number that is not whole, from 0 to 2^53")
    if isinstance(value, str):
        text.size(value, MALFORMED)  # half a surrogate pair is no UTF-8
    for item in itertools.chain(value, value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
        strict(item)


def look_at_version(value, required=False):
    """What is of a later version is called that, whatever else is in it."""
    if not isinstance(value, dict) or not required and "version" not in value:
        return
    need("version" in value, VERSION, "no version")
    need(type(value["version"]) is int, MALFORMED, "a version that is no whole number")
    need(value["version"] == 1, VERSION, "another version")


def file_entries(data):
    tree = parse(data)
    items = tree if type(tree) is list else [tree]
    need(items, MALFORMED, "an empty array")
    entries = [entry(item) for item in items]
    _once([e["name"] for e in entries])
    return entries


def entry(value):
    look_at_version(value, required=True)
    strict(value)
    return FILE_ENTRY.parse(FILE_ENTRY.read(value))


def draft(data):
    tree = parse(data)
    need(type(tree) is dict, MALFORMED, "not an object")
    look_at_version(tree)
    entries = tree.get("entries")
    for item in entries if type(entries) is list else ():
        if type(item) is dict and "path" not in item:
            look_at_version(item)
    strict(tree)
    d = {key: value for key, value in tree.items() if key != "version"}
    members = {"title": (str, _title), "description": (str, _description), "metadata": (dict, _metadata),
               "entries": (list, _entries), "remove": (list, _remove)}
    need(set(d) <= set(members), MALFORMED, "an unknown member")
    for key, value in d.items():
        kind, check = members[key]
        need(type(value) is kind, MALFORMED, key + " of another type")
        check(value)
    need(any(d.values()), MALFORMED, "says nothing")
    put = [e["name"] for e in d.get("entries", []) if "name" in e]
    _once(put, d.get("remove", []))


def _title(s):
    text.line(s, 256)


def _description(s):
    text.prose(s, 16384)


def _metadata(m):
    Pairs().check(Pairs().read(m))


def _remove(names):
    need(len(names) <= 4096, LIMIT, "more than 4,096 removals")
    need(all(type(s) is str for s in names), MALFORMED, "a removal that is no text")
    for s in names:
        text.name(s)


def _entries(items):
    need(len(items) <= 4096, LIMIT, "more than 4,096 entries")
    for item in items:
        need(type(item) is dict, MALFORMED, "an entry that is no object")
        need(("path" in item) != ("root" in item), MALFORMED, "an entry with neither a path nor a root, or with both")
        if "root" in item:
            entry(item)
        else:
            _local(item)


def _local(item):
    """An entry that names a file or folder of this machine."""
    need(set(item) <= {"path", "name", "attrs"}, MALFORMED, "an unknown member")
    path = item["path"]
    need(type(path) is str and 1 <= text.size(path, MALFORMED) <= 4096, MALFORMED, "a path that is not text of 1 to 4,096 bytes")
    need("\0" not in path, MALFORMED, "a path with a NUL")
    if "name" in item:
        need(type(item["name"]) is str, MALFORMED, "a name that is no text")
        text.name(item["name"])
    if "attrs" in item:
        need(type(item["attrs"]) is dict, MALFORMED, "attrs that are no object")
        _metadata(item["attrs"])


def _once(put, removed=()):
    names = put + list(removed)
    need(len(set(names)) == len(names), NAME, "a name given twice")
    no_folders(set(put))


# PKCS#8 of an Ed25519 key (RFC 8410): version 0, the algorithm 1.3.101.112, an OCTET STRING in an OCTET STRING.
PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
PEM = r"(?:\s*\n)?-----BEGIN %s-----\s*\n([A-Za-z0-9+/=\s]+)-----END %s-----\s*"


def pem(s, label):
    """The bytes of a file that is one PEM block."""
    block = re.fullmatch(PEM % (label, label), s, re.ASCII)
    need(block, MALFORMED, "not one PEM block " + label)
    try:
        written = "".join(block.group(1).split())
        raw = base64.b64decode(written, validate=True)
    except binascii.Error:
        raise Refused(MALFORMED, "not base64")
    need(base64.b64encode(raw).decode("ascii") == written, MALFORMED, "not base64")
    return raw


def key_file(s):
    """The seed in a key file."""
    der = pem(s, "PRIVATE KEY")
    need(len(der) == len(PKCS8) + 32 and der.startswith(PKCS8), MALFORMED, "not PKCS#8 of an Ed25519 key")
    return der[len(PKCS8):]


PLUGIN = "-----BEGIN AML PLUGIN KEY-----\nPlugin: %s\n\n%s\n-----END AML PLUGIN KEY-----\n"


def plugin_file(s):
    """The plugin's id and the public key in a file that says that the plugin holds the private half."""
    s = s.strip(text.WHITE) + "\n"
    block = re.fullmatch(PLUGIN % ("([a-z0-9-]{1,32})", "([A-Za-z0-9+/]{43}=)"), s, re.ASCII)
    need(block, MALFORMED, "not the one encoding of a plugin's key")
    public = base64.b64decode(block.group(2))
    need(PLUGIN % (block.group(1), base64.b64encode(public).decode("ascii")) == s, MALFORMED, "not base64")
    ed25519.check_key(public)
    return block.group(1), public
