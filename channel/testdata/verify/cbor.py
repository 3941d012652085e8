"""The CBOR of CHANNELS.md, Encoding: strict, deterministic, and no more types than the text names.

Decoded values are int, bytes, str, bool, list and dict. Keys of a dict are int or str: no format has others.
"""

from errors import MALFORMED, Refused, need

MAX_DEPTH = 8
MAX_ITEMS = 8192

UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)


def decode(data):
    """The one value that data is the encoding of."""
    value, end = _item(data, 0, 0)
    need(end == len(data), MALFORMED, "something after the outermost item")
    # The checks below leave one spelling per value; this is the way to be sure.
    need(encode(value) == data, MALFORMED, "not the one encoding of its value")
    return value


def _head_at(data, at):
    """Major type, argument and where the head ends. The argument is in its shortest form."""
    need(at < len(data), MALFORMED, "cut off")
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info < 24:
        return major, info, at
    need(info < 28, MALFORMED, "indefinite or reserved length")
    size = 1 << (info - 24)
    need(at + size <= len(data), MALFORMED, "cut off")
    argument = int.from_bytes(data[at:at + size], "big")
    least = 24 if size == 1 else 1 << (size * 4)  # the smallest number that needs so many bytes
    need(argument >= least or major == SIMPLE, MALFORMED, "longer than the shortest form")
    return major, argument, at + size


def _item(data, at, depth):
    start = at
    major, n, at = _head_at(data, at)
    if major == UINT:
        return n, at
    if major == NEGATIVE:
        return -1 - n, at
    if major in (BYTES, TEXT):
        need(n <= len(data) - at, MALFORMED, "a string longer than what is left")
        piece, at = data[at:at + n], at + n
        return (_utf8(piece) if major == TEXT else piece), at
    if major in (ARRAY, MAP):
        need(depth < MAX_DEPTH, MALFORMED, "more than 8 arrays and maps inside one another")
        need(n <= MAX_ITEMS, MALFORMED, "more than 8,192 items")
        # Each item has a byte at least: a false count ends here, before anything is made.
        need(n <= len(data) - at, MALFORMED, "more items than bytes are left")
        return (_array if major == ARRAY else _map)(data, at, n, depth + 1)
    need(data[start] in (0xF4, 0xF5), MALFORMED, "tag, float, null or another simple value")
    return data[start] == 0xF5, at


def _utf8(piece):
    try:
        return piece.decode("utf-8")  # Python's decoder refuses surrogates and overlong forms
    except UnicodeDecodeError:
        raise Refused(MALFORMED, "text that is not UTF-8")


def _array(data, at, n, depth):
    items = []
    for _ in range(n):
        value, at = _item(data, at, depth)
        items.append(value)
    return items, at


def _map(data, at, n, depth):
    pairs, before = {}, b""
    for _ in range(n):
        start = at
        key, at = _item(data, at, depth)
        need(type(key) in (int, str), MALFORMED, "a key that is neither a number nor text")
        need(data[start:at] > before, MALFORMED, "keys not ascending")
        before = data[start:at]
        pairs[key], at = _item(data, at, depth)
    return pairs, at


def encode(value):
    if type(value) is bool:
        return b"\xf5" if value else b"\xf4"
    if type(value) is int:
        return _head(UINT, value) if value >= 0 else _head(NEGATIVE, -1 - value)
    if type(value) is bytes:
        return _head(BYTES, len(value)) + value
    if type(value) is str:
        raw = value.encode("utf-8")
        return _head(TEXT, len(raw)) + raw
    if type(value) is list:
        return _head(ARRAY, len(value)) + b"".join(map(encode, value))
    pairs = sorted((encode(key), encode(item)) for key, item in value.items())
    return _head(MAP, len(pairs)) + b"".join(key + item for key, item in pairs)


def _head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    info, size = next((24 + i, 1 << i) for i in range(4) if n < 1 << (8 << i))
    return bytes([major << 5 | info]) + n.to_bytes(size, "big")
