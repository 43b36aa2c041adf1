"""Which code page a text in the Latin alphabet is in, by the letters that come out.

Detectors take a few accents among English words for Hebrew or Arabic, and know nothing of degrees and quotes.
Here each page is tried, and what comes out is compared with the alphabets of the languages.
"""

import re
from contextlib import suppress

from rag_ingest.domain.sampling import near_non_ascii

CODE_PAGES = (
    *("cp1252", "cp1250", "iso8859_2", "cp1254", "cp1257", "iso8859_15"),
    *("mac_roman", "cp850", "cp437", "cp852"),
)
"""The most common first."""
_SAMPLE = 4096
_MOST_MISFITS = 0.02
"""Share of the characters that are not ASCII: names from elsewhere."""

# Letters that are not ASCII, of one language in a line.
_ALPHABETS = tuple(
    map(
        frozenset,
        (
            "àâæçéèêëîïôœùûüÿ",
            "äöüßé",
            "áéíñóúüªº",
            "àáâãçéêíóôõúüªº",
            "àèéìíîòóùú",
            "àçéèíïóòúü",
            "áâèéêëîïóôöúûü",
            "åäöéü",
            "æøåéèêóòô",
            "áðéíóúýþæö",
            "äõöüšž",
            "çë",
            "ąćęłńóśźż",
            "áčďéěíňóřšťúůýž",
            "áäčďéíĺľňóôŕšťúýž",
            "áéíóöőúüű",
            "čćđšž",
            "ăâîşţșț",
            "âçğıİîöşûü",
            "ąčęėįšųūž",
            "āčēģīķļņšūž",
        ),
    )
)
_SIGNS = frozenset("€£©®™°±²³µ×·•§¶«»“”„‘’‚…–—½¼¾¿¡\u00a0\u00ad\ufeff")
_MISPLACED = re.compile(
    # A capital behind a small letter; a word of accents only; a sign where another page has a letter.
    r"(?<=[ß-öø-ÿ])[A-Z]|(?<!\w)[\u00c0-\u024f]{3,}(?!\w)"
    r"|(?<=[^\W\d_])[±¼½¾¶«¡¿]|[±¼½¾¶»](?=[^\W\d_])|(?<=[^\W\d_])[²³¹µ×£¥¦§¯](?=[^\W\d_])"
)


def guess_latin(data: bytes) -> list[str]:
    """The pages that give a text of one language, the most common first, and of equal texts one.

    Empty where few of the letters are ASCII, or no page fits.
    """
    sample = near_non_ascii(data.decode("latin_1"), _SAMPLE)
    strange = sum(not each.isascii() for each in sample)
    if 2 * sum(each.isascii() and each.isalpha() for each in sample) < strange:
        return []
    texts: dict[str, str] = {}
    for page in CODE_PAGES:
        with suppress(UnicodeDecodeError):
            texts.setdefault(sample.encode("latin_1").decode(page), page)
    misfits = {page: _misfits(text) for text, page in texts.items()}
    least = min(misfits.values(), default=strange)
    return [page for page, count in misfits.items() if count == least <= _MOST_MISFITS * strange]


def _misfits(text: str) -> int:
    """Letters that the likeliest language has not, signs in strange places, quotes without the other half."""
    characters = [each for each in text if not each.isascii() and each not in _SIGNS]
    letters = [each if each == "İ" else each.lower() for each in characters]
    foreign = min(sum(each not in alphabet for each in letters) for alphabet in _ALPHABETS)
    unbalanced = abs(text.count("«") - text.count("»"))
    return foreign + unbalanced + len(_MISPLACED.findall(text))
