"""CHANNELS.md, JSON: strict reading of what people and programs hand in (file_entry.json, manifest.json), and key files."""

import base64
import binascii
import json
import re

import cbor
import text
from errors import LIMIT, MALFORMED, NAME, TOO_LARGE, VERSION, Refused, need
from fields import Pairs
from structures import FILE_ENTRY, no_folders

MAX_JSON = 16777216


class Members(list):
    """An object as it was written: pairs, a name perhaps twice."""


class Inexact:
    """A number with a fraction or an exponent."""


def parse(data):
    need(len(data) <= MAX_JSON, TOO_LARGE, "over 16 MiB")

    def constant(word):
        raise ValueError(word)  # NaN and Infinity, which Python takes for JSON

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=Members, parse_float=lambda s: Inexact(),
                          parse_constant=constant)
    except (ValueError, RecursionError) as e:
        raise Refused(MALFORMED, "not JSON: %s" % e)


def strict(value):
    """value with dicts for objects; refuses what JSON would allow and this text does not."""
    need(value is not None and not isinstance(value, Inexact), MALFORMED, "null, a fraction or an exponent")
    if isinstance(value, str):
        text.size(value, MALFORMED)  # half a surrogate pair is no UTF-8
    if isinstance(value, Members):
        need(len({key for key, _ in value}) == len(value), MALFORMED, "a member twice")
        return {strict(key): strict(item) for key, item in value}
    if isinstance(value, list):
        return [strict(item) for item in value]
    return value


def look_at_version(value, required):
    """A later version is called that, whatever else is in it."""
    if not isinstance(value, Members):
        return
    versions = [item for key, item in value if key == "version"]
    need(versions or not required, VERSION, "no version")
    if len(versions) == 1 and type(versions[0]) is int:
        need(versions[0] == 1, VERSION, "another version")
    else:
        need(not versions, MALFORMED, "a version that is no whole number, or twice")


def file_entries(data):
    tree = parse(data)
    for item in tree if type(tree) is list else [tree]:
        look_at_version(item, True)
    tree = strict(tree)
    entries = [entry(item) for item in (tree if type(tree) is list else [tree])]
    need(entries, MALFORMED, "an empty array")
    names = [e["name"] for e in entries]
    need(len(set(names)) == len(names), NAME, "two entries of one name")
    return entries


def entry(value):
    return FILE_ENTRY.parse(FILE_ENTRY.read(value))


def draft(data):
    tree = parse(data)
    need(isinstance(tree, Members), MALFORMED, "not an object")
    look_at_version(tree, False)
    for key, value in tree:
        if key == "entries" and type(value) is list:
            for item in value:
                look_at_version(item, False)
    d = strict(tree)
    d.pop("version", None)
    members = {"title": (str, _title), "description": (str, _description), "metadata": (dict, _metadata),
               "entries": (list, _entries), "remove": (list, _remove)}
    need(set(d) <= set(members), MALFORMED, "an unknown member")
    for key, value in d.items():
        kind, check = members[key]
        need(type(value) is kind, MALFORMED, key + " of another type")
        check(value)
    need(any(d.values()), MALFORMED, "says nothing")
    _once([e["name"] for e in d.get("entries", []) if e.get("name")], d.get("remove", []))


def _title(s):
    text.line(s, 256)


def _description(s):
    text.prose(s, 16384)


def _metadata(m):
    Pairs().parse(Pairs().read(m))


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
    need(type(path) is str and path and "\0" not in path, MALFORMED, "a path that is no text, empty, or with a NUL")
    if "name" in item:
        need(type(item["name"]) is str, MALFORMED, "a name that is no text")
        text.name(item["name"])
    if "attrs" in item:
        need(type(item["attrs"]) is dict, MALFORMED, "attrs that are no object")
        _metadata(item["attrs"])


def _once(put, removed):
    names = put + removed
    need(len(set(names)) == len(names), NAME, "a name given twice")
    no_folders(set(put))


# PKCS#8 of an Ed25519 key (RFC 8410): version 0, the algorithm 1.3.101.112, an OCTET STRING in an OCTET STRING.
PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
PEM = re.compile(r"\s*-----BEGIN PRIVATE KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PRIVATE KEY-----\s*")


def key_file(s):
    """The seed in a key file."""
    block = PEM.fullmatch(s)
    need(block, MALFORMED, "not one PEM block PRIVATE KEY")
    try:
        der = base64.b64decode("".join(block.group(1).split()), validate=True)
    except binascii.Error:
        raise Refused(MALFORMED, "not base64")
    need(len(der) == len(PKCS8) + 32 and der.startswith(PKCS8), MALFORMED, "not PKCS#8 of an Ed25519 key")
    return der[len(PKCS8):]
