"""Damages a folder that is held as file names and bytes, at random but repeatably."""

import json
import posixpath
import random
import re
import struct
import zlib
from typing import Any

Files = dict[str, bytes]

LABELS = (".json", ".jsonl", ".xml", ".txt", ".csv", ".mat", ".yaml", ".parquet")
NUMBERS = (0, -1, 1, 2, 0.5, -0.0, 1e308, -1e308, 1e19, 2**31, 2**63, -(2**63), 10**30, 1e-320)
TEXTS = (
    "", " ", "good", "ignore", "background", "surface", "../../outside/secret.png", "/etc/passwd",
    "C:\\x.png", "\\\\host\\x.png", "http://host/x.png", "x" * 500, "a\nb", "a\x00b", "\x1b[31m",
    "😀", "裂纹", "\ud800", "e\u0301", "\u202e", "NaN", "-1", "1e999", "<b>", "{}", "%s", "[/]",
    "💥" * 90,
)  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, False, [], {}, [[]], [None], {"a": 1}, [1, 2, 3], [[1, 2]], [["a"]],
    float("nan"), float("inf"), *NUMBERS, *TEXTS,
)  # fmt: skip
NAMES = (
    "a\nb", "😀", "CON", "-rf", "a.", "a ", " a", "\x1b[2J", "<i>x", "é", "e\u0301", "A", "a" * 240,
    "裂" * 80, "a%20b", "'", '"', "..a", "\udcff\udcfe", "train", "mask", "good", "a_mask", "0",
)  # fmt: skip
ENTITIES = (
    b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">]>',
    b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
    b'<?xml version="1.0" encoding="utf-7"?>',
    b'<?xml version="1.0" encoding="nonsense"?>',
)


def mutate(files: Files, chance: random.Random) -> tuple[Files, dict[str, str]]:
    """Return the files after one to six mutations, and links as path and target."""
    links: dict[str, str] = {}
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 6))):
        if not files:
            break
        name = chance.choice(sorted(files))
        # Label files are few and hold most of what can go wrong.
        labels = [n for n in sorted(files) if n.endswith(LABELS)]
        if labels and chance.random() < 0.5:
            name = chance.choice(labels)
        if chance.random() < 0.2:
            _rearrange(files, links, name, chance)
        else:
            files[name] = _damaged(name, files[name], chance)
    return files, links


def _rearrange(files: Files, links: dict[str, str], name: str, chance: random.Random) -> None:
    action = chance.randrange(6)
    data = files[name]
    other = chance.choice(sorted(files))
    if action == 0:
        del files[name]
    elif action == 1:
        files[name], files[other] = files[other], data
    elif action == 2:
        stem, suffix = posixpath.splitext(posixpath.basename(name))
        new = chance.choice(NAMES) + chance.choice((suffix, suffix, stem, ".PNG", ".zip", ""))
        del files[name]
        files[posixpath.join(posixpath.dirname(name), new)] = data
    elif action == 3:
        parts = name.split("/")
        parts[chance.randrange(len(parts))] = chance.choice(NAMES)
        files["/".join(parts)] = data
    elif action == 4:
        files[
            f"{posixpath.splitext(name)[0]}{chance.choice(('.jpg', '.png', '.json', '.bmp'))}"
        ] = data
    else:
        del files[name]
        target = ("/dev/null", ".", "..", posixpath.basename(name), "../outside/secret.png", "/")
        links[name] = chance.choice(target[:4] if chance.random() < 0.7 else target[4:5])


def _damaged(name: str, data: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.7:
        if name.endswith(".json"):
            return _json(data, chance)
        if name.endswith(".jsonl"):
            lines = data.split(b"\n")
            spot = chance.randrange(len(lines))
            lines[spot] = _json(lines[spot], chance)
            return b"\n".join(lines)
        if name.endswith(".xml"):
            return _xml(data, chance)
        if name.endswith((".txt", ".csv", ".yaml")):
            return _table(data, chance)
        if data.startswith(b"\x89PNG"):
            return _png(data, chance)
    return _bytes(data, chance)


def _bytes(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    action = chance.randrange(7)
    if action <= 2:
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 3, 10)) if data else 0):
            spot = chance.randrange(min(len(data), chance.choice((64, 10**6))))
            changed[spot] = chance.choice((0, 255, 127, changed[spot] ^ (1 << chance.randrange(8))))
        return bytes(changed)
    if action == 3:
        return data[:at]
    if action == 4:
        end = chance.randrange(len(data) + 1)
        return data[:at] + data[end:]
    if action == 5:
        return chance.choice((b"\xef\xbb\xbf" + data, data + data, b"", b"\x00" * 20, data[::-1]))
    return data[:at] + chance.randbytes(chance.choice((1, 4, 40))) + data[at:]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) in a JSON value."""
    found = []
    open_values = [value]
    while open_values:
        here = open_values.pop()
        keys = here.keys() if isinstance(here, dict) else range(len(here))
        for key in keys:
            found.append((here, key))
            if isinstance(here[key], (dict, list)):
                open_values.append(here[key])
    return found


def _json(data: bytes, chance: random.Random) -> bytes:
    if b"[" * 50 in data:  # an earlier mutation nested it too deep to be written again
        return _bytes(data, chance)
    try:
        value = json.loads(data)
        places = _places(value)
        container, key = chance.choice(places)
    except (ValueError, IndexError, TypeError, RecursionError):
        return _bytes(data, chance)
    action = chance.randrange(8)
    if action <= 3:
        container[key] = chance.choice(ODD)
    elif action == 4:
        del container[key]
    elif action == 5:
        source, name = chance.choice(places)
        container[key] = json.loads(json.dumps(source[name])) if name in _keys(source) else None
    elif action == 6:
        container[key] = "\x01"
        depth = chance.choice((50, 900, 2000, 100_000))
        deep = b"[" * depth + b"]" * chance.choice((depth, depth, depth - 1))
        return json.dumps(value).encode().replace(b'"\\u0001"', deep)
    else:
        container[key] = "\x01"
        odd = (b"1" * 5000, b"1e99999", b"NaN", b"-Infinity", b'"a","a":1', b"'a'", b"\xff\xfe")
        return json.dumps(value).encode().replace(b'"\\u0001"', chance.choice(odd))
    written = json.dumps(value)
    encoding = chance.choice(("utf-8",) * 8 + ("utf-16", "utf-8-sig"))
    return written.encode(encoding)


def _keys(value: Any) -> Any:
    return value.keys() if isinstance(value, dict) else range(len(value))


def _odd_text(chance: random.Random) -> str:
    return chance.choice((*TEXTS, *(str(number) for number in NUMBERS), "nan", "inf", "٣", "²"))


def _xml(data: bytes, chance: random.Random) -> bytes:
    action = chance.randrange(7)
    odd = _odd_text(chance)
    if chance.random() < 0.7:
        odd = odd.replace("<", "&lt;").replace("\x00", "").replace("\x1b", "")
    new = odd.encode("utf-8", "surrogatepass")
    pattern = (rb">[^<>]+<", rb'"[^"]*"', rb"<[^<>]+>", rb"<(\w+)[^<>]*>[^<]*</\1>")[min(action, 3)]
    found = list(re.finditer(pattern, data))
    if action == 4:
        return chance.choice(ENTITIES) + data.replace(b"dent", b"&b;", chance.randrange(2))
    if action == 5:
        depth = chance.choice((50, 2000, 100_000))
        return data.replace(b"<object>", b"<a>" * depth + b"</a>" * depth + b"<object>", 1)
    if not found or action == 6:
        return _bytes(data, chance)
    match = chance.choice(found)
    whole = match[0]
    replaced = {
        0: b">" + new + b"<",
        1: b'"' + new.replace(b'"', b"") + b'"',
        2: chance.choice((b"", whole + whole, b"<x>")),
        3: chance.choice((b"", whole + whole)),
    }[action]
    return data[: match.start()] + replaced + data[match.end() :]


def _table(data: bytes, chance: random.Random) -> bytes:
    words = re.split(rb"([\s,:]+)", data)
    spot = chance.randrange(len(words))
    action = chance.randrange(6)
    if action <= 3:
        words[spot] = _odd_text(chance).encode("utf-8", "surrogatepass")
    elif action == 4:
        del words[spot]
    else:
        words[spot] *= chance.choice((2, 50, 5000))
    return b"".join(words)


def _png(data: bytes, chance: random.Random) -> bytes:
    """Change a chunk and correct its checksum, so that the change is decoded."""
    chunks = []
    at = 8
    while at + 12 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        chunks.append([data[at + 4 : at + 8], bytearray(data[at + 8 : at + 8 + size])])
        at += 12 + size
    if not chunks:
        return _bytes(data, chance)
    kind, content = chance.choice(chunks)
    action = chance.randrange(4)
    if action <= 1 and content:
        content[chance.randrange(len(content))] = chance.randrange(256)
    elif action == 2 and kind == b"IDAT":
        try:
            raw = zlib.decompress(bytes(content))
            content[:] = zlib.compress(raw[: chance.randrange(len(raw))])
        except zlib.error:
            del content[:]
    else:
        chunks.insert(1, [chance.choice((b"acTL", b"eXIf", b"tRNS", b"gAMA", b"iCCP", b"tEXt")),
                          bytearray(chance.randbytes(chance.choice((0, 4, 8, 40))))])  # fmt: skip
    body = b"".join(
        struct.pack(">I", len(c)) + k + bytes(c) + struct.pack(">I", zlib.crc32(k + bytes(c)))
        for k, c in chunks
    )
    return data[:8] + body
