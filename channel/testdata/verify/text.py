"""CHANNELS.md, Text and Addresses: what may stand in a text, a name, a topic, a mirror, an address.

NFC, lower case and the category of marks come from Python's unicodedata, which may be older than the Unicode 15 of the text
(unicodedata.unidata_version; Python 3.11 has 14, 3.12 has 15). They differ only on characters that the older one does not know.
"""

import base64
import hashlib
import re
import unicodedata

from errors import LIMIT, MALFORMED, NAME, TOO_LARGE, Refused, need


def _ranges(*pairs):
    return frozenset(chr(c) for low, high in pairs for c in range(low, high + 1))


HOSTILE = _ranges((0, 0x1F), (0x7F, 0x9F), (0x2028, 0x2029), (0x202A, 0x202E), (0x2066, 0x2069), (0xFEFF, 0xFEFF))
PROSE_ALLOWS = frozenset("\t\n\r")
BLANK = _ranges((0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200B), (0x202F, 0x202F), (0x205F, 0x2060), (0x3000, 0x3000))
# What is dropped around a topic or address that a person typed: Unicode's property White_Space.
WHITE = "".join(_ranges((9, 13), (32, 32), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029),
                        (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)))

MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&\-^_.+]+/[A-Za-z0-9!#$&\-^_.+]+(;[\x20-\x7e]*)?")
TOPIC_ASCII = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.+/")
MIRROR_BARS = frozenset("\"'<>\\^{|}`")
BASE32 = re.compile("[a-z2-7]{52}")
HEX = re.compile("([0-9a-f]{2})*")


def size(s, error):
    """Bytes of s in UTF-8. A str of Python can hold half a surrogate pair, which is no UTF-8."""
    try:
        return len(s.encode("utf-8"))
    except UnicodeEncodeError:
        raise Refused(error, "text that is not UTF-8")


def line(s, most):
    need(size(s, MALFORMED) <= most, LIMIT, "over %d bytes" % most)
    need(not HOSTILE & set(s), MALFORMED, "a hostile character")


def publisher_name(s):
    line(s, 64)
    need(s == s.strip(WHITE), MALFORMED, "white space around a publisher's name")
    need("," not in s, MALFORMED, "a comma in a publisher's name")


def prose(s, most):
    need(size(s, MALFORMED) <= most, LIMIT, "over %d bytes" % most)
    need(not HOSTILE & set(s) - PROSE_ALLOWS, MALFORMED, "a hostile character")


def pairs(m):
    need(len(m) <= 64, LIMIT, "more than 64 pairs")
    for key, value in m.items():
        need(key != "", MALFORMED, "a pair without a key")
        line(key, 64)
        prose(value, 4096)


def media_type(s):
    need(size(s, MALFORMED) <= 128, LIMIT, "a media type of over 128 bytes")
    need(MEDIA_TYPE.fullmatch(s), MALFORMED, "not a media type")


def name(s):
    need(1 <= size(s, NAME) <= 1024, NAME, "not 1 to 1,024 bytes")
    need(not HOSTILE & set(s) and "\\" not in s, NAME, "a hostile character or a backslash")
    _stacking(s)
    need(unicodedata.normalize("NFC", s) == s, NAME, "not in form NFC")
    for component in s.split("/"):
        need(1 <= size(component, NAME) <= 255, NAME, "a component that is not 1 to 255 bytes")
        need(component not in (".", ".."), NAME, "a component that is . or ..")
    need(s[:5].encode("utf-8").lower() != b".aml-", NAME, "begins with .aml-")


def _stacking(s):
    run = 0
    for c in s:
        stacks = unicodedata.category(c)[0] == "M" or 0x1160 <= ord(c) <= 0x11FF or c in "\uff9e\uff9f"
        run = run + 1 if stacks else 0
        need(run <= 16, NAME, "more than 16 stacking characters in a row")


def within(s, scope):
    return s == scope or s.startswith(scope + "/")


def topic(s):
    """A topic in its normal form."""
    need(1 <= size(s, NAME) <= 128, NAME, "not 1 to 128 bytes")
    levels = s.split("/")
    need(len(levels) <= 8, NAME, "more than 8 levels")
    need(not {"", ".", ".."} & set(levels), NAME, "an empty level, . or ..")
    need(all(c in TOPIC_ASCII for c in s if c < "\x80"), NAME, "a character that topics do not have")
    need(not (HOSTILE | BLANK) & set(s), NAME, "a hostile or blank character")
    _stacking(s)
    need(_fold(s) == s, NAME, "not in normal form")


def normal_topic(s):
    """The topic that a person typed."""
    size(s, NAME)
    s = re.sub("//+", "/", _fold(s.strip(WHITE))).strip("/")
    topic(s)
    return s


def _fold(s):
    lower = "".join(map(_simple_lower, unicodedata.normalize("NFC", s)))
    return unicodedata.normalize("NFC", lower)


def _simple_lower(c):
    # str.lower is the full mapping. Of one character it differs from the simple one for U+0130 alone (SpecialCasing.txt).
    return "i" if c == "\u0130" else c.lower()


def topic_key(s):
    return hashlib.sha256(b"aml-topic-v1" + s.encode("utf-8")).digest()


def discovery_key(channel):
    return hashlib.sha256(b"aml-discovery-v1" + channel).digest()


def mirror(s):
    need(size(s, MALFORMED) <= 256, LIMIT, "a mirror of over 256 bytes")
    need(s and all("!" <= c <= "~" for c in s) and not MIRROR_BARS & set(s), MALFORMED, "a character that mirrors do not have")
    if s.startswith("/"):
        components = s[1:].split("/")
        need(len(components) >= 2 and "" not in components, MALFORMED, "not a multiaddr")
        return
    url = re.fullmatch("https?://([^/?]*)(.*)", s)
    need(url, MALFORMED, "neither a multiaddr nor a URL")
    host = url.group(1)
    need(host and host[0] != ":" and "@" not in host and "#" not in s, MALFORMED, "a URL without a host, with a user or with a fragment")


def base32(raw):
    return base64.b32encode(raw).decode("ascii").lower().rstrip("=")


def un_base32(s):
    """The 32 bytes that 52 characters spell."""
    need(BASE32.fullmatch(s), MALFORMED, "not 52 characters of base32")
    raw = base64.b32decode(s.upper() + "====")
    need(base32(raw) == s, MALFORMED, "unused bits that are not zero")
    return raw


def un_hex(s, length):
    need(HEX.fullmatch(s) and len(s) == 2 * length, MALFORMED, "not %d bytes in lower-case hex" % length)
    return bytes.fromhex(s)


def channel_id(s):
    raw = un_base32(s)
    need(any(raw), MALFORMED, "a channel id of all zeros")
    return raw


def address(s):
    """(channel id, path or None, read key or None)"""
    s = s.strip(WHITE)
    need(size(s, MALFORMED) <= 4096, TOO_LARGE, "an address of over 4,096 bytes")
    need(s.startswith("aml://"), MALFORMED, "does not begin with aml://")
    rest, fragment, key = s[6:].partition("#")
    identity, slash, path = rest.partition("/")
    return channel_id(identity), _path(path) if slash else None, un_base32(key) if fragment else None


def _path(s):
    need("?" not in s, MALFORMED, "a query")
    raw, at = bytearray(), 0
    data = s.encode("utf-8")
    while at < len(data):
        if data[at:at + 1] != b"%":
            raw.append(data[at])
            at += 1
            continue
        digits = data[at + 1:at + 3]
        need(re.fullmatch(b"[0-9A-Fa-f]{2}", digits), MALFORMED, "an escape that is none")
        need(int(digits, 16) != 0x2F, MALFORMED, "an encoded slash")
        raw.append(int(digits, 16))
        at += 3
    try:
        path = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(NAME, "a path that is not UTF-8")
    name(path)
    return path


def format_address(channel, path=None, read_key=None):
    s = "aml://" + base32(channel)
    if path is not None:
        plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"
        s += "/" + "".join(chr(b) if b in plain else "%%%02X" % b for b in path.encode("utf-8"))
    return s + ("#" + base32(read_key) if read_key is not None else "")
