"""Names and texts in unknown encodings: UTF-8, or what their bytes suggest."""

import json
import os
import re
from typing import Any

CANDIDATES = ("utf-8-sig", "gb18030", "shift_jis", "euc_kr", "cp1252")

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

_MARKS = (b"\xff\xfe", b"\xfe\xff")  # of UTF-16

# Unicode has pictures of the ASCII control characters; lines also end at the last two.
_PICTURES = {code: 0x2400 + code for code in range(32)} | {0x7F: 0x2421}
_PICTURES |= dict.fromkeys((*range(0x80, 0xA0), *range(0xD800, 0xE000)), 0xFFFD) | dict.fromkeys(
    (0x2028, 0x2029), 0x240A
)


def decode_text(data: bytes) -> str:
    """Return a text in UTF-8 (UTF-16 with its mark) or the likeliest other encoding.

    Of the encodings that can be decoded at all, the one with the fewest unlikely characters wins;
    a tie goes to the earlier of `CANDIDATES`. Nothing is lost: Latin-1 decodes any bytes.
    """
    if data.startswith(_MARKS):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    best = data.decode("latin-1")
    least = _unlikely(best) + 1.0
    for encoding in CANDIDATES[1:]:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _unlikely(text) < least:
            best, least = text, _unlikely(text)
    return best


def decode_name(name: str) -> str:
    """Return a file name of the operating system without undecodable bytes and control characters.

    The latter would break lines of reports and command the terminal that shows them.
    """
    if _has_escapes(name):
        data = os.fsencode(name)
        # No system writes UTF-16 here, and its mark alone would decode to nothing.
        name = data.decode("latin-1") if data.startswith(_MARKS) else decode_text(data)
    return printable(name)


def parse_json(text: str) -> Any:  # noqa: ANN401 - JSON has any type
    """Return the content of a JSON text; half of a surrogate pair becomes U+FFFD.

    Raises:
        ValueError: if it is not JSON.
        RecursionError: if it is nested too deeply.
    """
    content = json.loads(text)
    if _SURROGATE.search(text):
        data = json.dumps(content, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
        content = json.loads(data.decode("utf-16-le", "replace"))
    return content


def printable(text: str) -> str:
    """Return a text with a picture of each control character in its place: a new line is U+240A.

    Lone surrogates, which JSON and file names can hold and UTF-8 cannot, become U+FFFD.
    """
    return text.translate(_PICTURES)


def _has_escapes(name: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in name)


def _unlikely(text: str) -> float:
    """Return how strange the characters are: ASCII, kana, Hangul and common ideographs weigh 0.

    Western letters with accents weigh a little, for bytes of Asian texts give runs of them;
    ideographs outside the common ones more, for bytes of Western texts give those.
    """
    return sum(_weight(character) for character in text)


def _weight(character: str) -> float:
    code = ord(character)
    if code < 0x80 or 0x3000 <= code < 0x3100 or 0xAC00 <= code < 0xD7A4 or 0xFF00 <= code < 0xFF61:
        return 0.0
    if 0x4E00 <= code < 0x9FA6:
        pair = character.encode("gb2312", errors="ignore")
        return 0.0 if pair and pair[0] < 0xD8 else 1.5  # level 1: the 3,755 most common
    return 0.5 if 0xC0 <= code < 0x250 else 3.0
