"""Names and texts in unknown encodings: UTF-8, or what their bytes suggest."""

import os

CANDIDATES = ("utf-8-sig", "gb18030", "shift_jis", "euc_kr", "cp1252")


def decode_text(data: bytes) -> str:
    """Return a text in UTF-8 (UTF-16 with its mark) or the likeliest other encoding.

    Of the encodings that can be decoded at all, the one with the fewest unlikely characters wins;
    a tie goes to the earlier of `CANDIDATES`. Nothing is lost: Latin-1 decodes any bytes.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    best = data.decode("latin-1")
    least = _unlikely(best) + 1
    for encoding in CANDIDATES[1:]:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _unlikely(text) < least:
            best, least = text, _unlikely(text)
    return best


def decode_name(name: str) -> str:
    """Return a file name of the operating system without undecodable bytes in it."""
    return decode_text(os.fsencode(name)) if _has_escapes(name) else name


def _has_escapes(name: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in name)


def _unlikely(text: str) -> int:
    """Return how many characters are neither ASCII, common ideographs, kana nor Hangul.

    Western letters with accents count a third: bytes of Asian texts give runs of them.
    """
    weight = 0
    for character in text:
        code = ord(character)
        if code < 0x80 or 0x4E00 <= code < 0x9FA6 or 0x3000 <= code < 0x3100:
            continue
        if 0xAC00 <= code < 0xD7A4 or 0xFF00 <= code < 0xFF61:
            continue
        weight += 1 if 0xC0 <= code < 0x250 else 3
    return weight
