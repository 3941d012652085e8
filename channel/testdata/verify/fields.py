"""Kinds of fields: what the columns "CBOR" and "meaning" of the tables in CHANNELS.md say, once for each kind.

A kind takes a value from decoded CBOR as far as "CBOR" and "optional" go (shape), then holds it to "meaning" (check): in this
order for a structure as a whole. It gives a value back to CBOR (build), writes it as JSON (show), and reads it from JSON into
what CBOR holds (read); that goes through shape and check too, so that the same rules hold for both.
"""

import datetime
import re

import ed25519
import text
from errors import LIMIT, MALFORMED, VERSION, need

MAX_UINT = 2**64 - 1
MAX_TIME = 253402300799
EPOCH = datetime.datetime(1970, 1, 1)


class Uint:
    json_type = int

    def __init__(self, least=0, most=MAX_UINT, error=MALFORMED):
        self.least, self.most, self.error = least, most, error

    def shape(self, value):
        need(type(value) is int and 0 <= value <= MAX_UINT, MALFORMED, "not an unsigned integer")
        return value

    def check(self, value):
        need(self.least <= value <= self.most, self.error, "a number that may not stand here")

    def build(self, value):
        return value

    def show(self, value):
        return value

    def read(self, value):
        need(type(value) is self.json_type, MALFORMED, "a value of another type in JSON")
        return value


class Bool(Uint):
    def shape(self, value):
        need(type(value) is bool, MALFORMED, "neither true nor false")
        return value

    def check(self, value):
        pass


class Mode(Uint):
    json_type = str

    def show(self, value):
        return "%04o" % value

    def read(self, value):
        need(type(value) is str and re.fullmatch("[0-7]{4}", value), MALFORMED, "a mode that is not four octal digits")
        return int(value, 8)


class Time(Uint):
    def __init__(self):
        super().__init__(1, MAX_TIME)

    def shape(self, value):
        need(type(value) is int, MALFORMED, "not an integer")
        return value

    def show(self, value):
        return (EPOCH + datetime.timedelta(seconds=value)).isoformat() + "Z"

    def read(self, value):
        form = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:Z|([+-])(\d\d):(\d\d))"
        m = re.fullmatch(form, value, re.ASCII) if type(value) is str else None
        need(m, MALFORMED, "not a time of RFC 3339 without a fraction")
        try:
            local = datetime.datetime.strptime(m.group(1), "%Y-%m-%dT%H:%M:%S")
        except ValueError:
            local = None
        need(local and local.isoformat() == m.group(1), MALFORMED, "no such time")  # strptime takes leap seconds
        seconds = (local - EPOCH) // datetime.timedelta(seconds=1)
        if m.group(2):
            hours, minutes = int(m.group(3)), int(m.group(4))
            need(hours < 24 and minutes < 60, MALFORMED, "no such offset")
            seconds -= int(m.group(2) + "1") * (hours * 3600 + minutes * 60)
        need(seconds >= 1, MALFORMED, "not after the beginning of 1970")
        return seconds


class Text(Uint):
    json_type = str

    def __init__(self, check):
        self.check = check

    def shape(self, value):
        need(type(value) is str, MALFORMED, "not text")
        return value


def one_of(*words):
    return Text(lambda s: need(s in words, MALFORMED, "none of " + ", ".join(words)))


def line(most):
    return Text(lambda s: text.line(s, most))


def prose(most):
    return Text(lambda s: text.prose(s, most))


class Bytes:
    """Bytes of one length, or of 1 to most; many is the error for more."""

    def __init__(self, length=None, most=None, zero=True, many=MALFORMED):
        self.length, self.most, self.zero, self.many = length, most, zero, many

    def shape(self, value):
        need(type(value) is bytes, MALFORMED, "not bytes")
        need(self.length is None or len(value) == self.length, MALFORMED, "not %s bytes" % self.length)
        return value

    def check(self, value):
        if self.length is None:
            need(value, MALFORMED, "no bytes")
            need(len(value) <= self.most, self.many, "over %d bytes" % self.most)
        need(self.zero or any(value), MALFORMED, "all zero")

    def build(self, value):
        return value

    def show(self, value):
        return value.hex()

    def read(self, value):
        need(type(value) is str, MALFORMED, "not text")
        return text.un_hex(value, len(value) // 2 if self.length is None else self.length)


class Key(Bytes):
    def __init__(self):
        super().__init__(32)

    def check(self, value):
        ed25519.check_key(value)


class ChannelID(Bytes):
    def __init__(self):
        super().__init__(32, zero=False)

    def show(self, value):
        return text.base32(value)

    def read(self, value):
        need(type(value) is str, MALFORMED, "not text")
        return text.un_base32(value)


class Pairs:
    def shape(self, value):
        need(type(value) is dict, MALFORMED, "not a map")
        need(all(type(x) is str for pair in value.items() for x in pair), MALFORMED, "not a map of text to text")
        return value

    def check(self, value):
        text.pairs(value)

    def build(self, value):
        return value

    def show(self, value):
        return value

    def read(self, value):
        need(type(value) is dict and all(type(x) is str for x in value.values()), MALFORMED, "not an object of text")
        return value


class List:
    """A list of least to most items. ascending gives of an item what ascends strictly, twice the error for one twice."""

    def __init__(self, of, least=0, most=8192, few=MALFORMED, ascending=None, twice=MALFORMED):
        self.of, self.least, self.most, self.few = of, least, most, few
        self.ascending, self.twice = ascending, twice

    def shape(self, value):
        need(type(value) is list, MALFORMED, "not an array")
        return [self.of.shape(item) for item in value]

    def check(self, items):
        need(len(items) >= self.least, self.few, "too few items")
        need(len(items) <= self.most, LIMIT, "more than %d items" % self.most)
        for item in items:
            self.of.check(item)
        if self.ascending:
            keys = [self.ascending(item) for item in items]
            need(len(set(keys)) == len(keys), self.twice, "the same twice in a list")
            need(keys == sorted(keys), MALFORMED, "a list that does not ascend")

    def build(self, items):
        return [self.of.build(item) for item in items]

    def show(self, items):
        return [self.of.show(item) for item in items]

    def read(self, value):
        need(type(value) is list, MALFORMED, "not an array")
        return [self.of.read(item) for item in value]


def itself(item):
    return item.encode("utf-8") if type(item) is str else item


class Struct:
    """A table: fields are (key, name, kind, optional); rule checks what no single field shows."""

    def __init__(self, title, fields, rule=None, json_version=None):
        self.title, self.fields, self.rule, self.json_version = title, fields, rule, json_version

    def parse(self, value):
        found = self.shape(value)
        self.check(found)
        return found

    def shape(self, value):
        need(type(value) is dict, MALFORMED, "not a map")
        known = {key for key, _, _, _ in self.fields}
        need(all(type(key) is int and key in known for key in value), MALFORMED, self.title + " with an unknown field")
        found = {}
        for key, name, kind, optional in self.fields:
            if key not in value:
                need(optional, MALFORMED, "%s without %s" % (self.title, name))
                continue
            need(not optional or value[key] not in (0, "", b"", [], {}) or value[key] is False, MALFORMED,
                 "%s: %s is there and empty" % (self.title, name))
            found[name] = kind.shape(value[key])
        return found

    def check(self, found):
        for _, name, kind, _ in self.fields:
            if name in found:
                kind.check(found[name])
        if self.rule:
            self.rule(found)

    def build(self, found):
        return {key: kind.build(found[name]) for key, name, kind, _ in self.fields if name in found}

    def show(self, found):
        shown = {name: kind.show(found[name]) for _, name, kind, _ in self.fields if name in found}
        return dict({"version": self.json_version}, **shown) if self.json_version else shown

    def read(self, value):
        need(type(value) is dict, MALFORMED, "not an object")
        value = dict(value)
        if self.json_version:
            need(value.pop("version", None) == self.json_version, VERSION, "another version")
        found = {}
        for key, name, kind, optional in self.fields:
            if name not in value:
                need(optional, MALFORMED, "%s without %s" % (self.title, name))
                continue
            item = kind.read(value.pop(name))
            if not optional or item not in (0, "", b"", [], {}):  # what is optional and empty is as good as absent
                found[key] = item
        need(not value, MALFORMED, "%s with an unknown member" % self.title)
        return found
