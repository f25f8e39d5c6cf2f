"""Which encodings the bytes of a text may be in, for the remedy of a message: no proof, candidates to try."""

import codecs

_EAST_ASIAN = ("shift_jis", "gb18030", "big5", "euc-kr")
_SAMPLE = 50_000
_MOST = 3


def candidates(data: bytes) -> list[str]:
    """At most three encodings that decode a piece of `data`, whose bytes are no UTF-8, the likeliest first.

    Where one byte in four or fewer is beyond ASCII, the text is taken as Western European; else as Cyrillic where most of
    these bytes are Cyrillic small letters, or as East Asian.

    >>> candidates("un café noir".encode("latin-1")), candidates("привет, мир".encode("cp1251"))
    (['latin-1', 'cp1252'], ['cp1251', 'koi8-r'])
    """
    sample = data[:_SAMPLE]
    beyond = [byte for byte in sample if byte >= 0x80]
    if len(beyond) * 4 <= len(sample):
        windows = [byte for byte in beyond if byte < 0xA0]  # control characters in Latin-1, quotes and dashes in Windows
        return [name for name in (("cp1252", "latin-1") if windows else ("latin-1", "cp1252")) if _decodes(sample, name)]
    for name, other, small in (("cp1251", "koi8-r", range(0xE0, 0x100)), ("koi8-r", "cp1251", range(0xC0, 0xE0))):
        if sum(byte in small for byte in beyond) > 0.75 * len(beyond):
            return [name, other]
    return [name for name in _EAST_ASIAN if _decodes(sample, name)][:_MOST] or ["latin-1"]


def _decodes(sample: bytes, name: str) -> bool:
    try:
        codecs.getincrementaldecoder(name)().decode(sample)  # its last character may be cut in two
    except UnicodeDecodeError:
        return False
    return True
