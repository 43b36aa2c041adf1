"""Which languages a text may be in, as far as its letters tell."""

import unicodedata
from collections import Counter

_SCRIPTS = {
    "CYRILLIC": ("ru", "uk", "be", "bg", "sr", "mk", "kk", "ky", "mn"),
    "GREEK": ("el",),
    "ARABIC": ("ar", "fa", "ur"),
    "HEBREW": ("he", "yi"),
    "DEVANAGARI": ("hi", "mr", "ne"),
    "THAI": ("th",),
    "HANGUL": ("ko",),
    "CJK": ("zh", "ja"),
    "HIRAGANA": ("ja",),
    "KATAKANA": ("ja",),
    "ARMENIAN": ("hy",),
    "GEORGIAN": ("ka",),
}
ANY_LANGUAGE = "*"
"""A space whose model reads every language."""


def reads(languages: tuple[str, ...], text: str) -> bool:
    """Whether a model of these languages (ISO 639-1, or ``*``) reads the script of most of the letters."""
    script = script_of(text)
    if script is None or ANY_LANGUAGE in languages:
        return True
    if script in _SCRIPTS:
        return any(language in _SCRIPTS[script] for language in languages)
    elsewhere = {language for known in _SCRIPTS.values() for language in known}
    return script == "LATIN" and any(language not in elsewhere for language in languages)


def script_of(text: str) -> str | None:
    """The script of most letters, by the first word of their Unicode names; ``None`` without letters."""
    scripts: Counter[str] = Counter()
    for character, count in Counter(text).items():
        if character.isalpha():
            scripts[unicodedata.name(character, "UNKNOWN").split()[0]] += count
    return scripts.most_common(1)[0][0] if scripts else None
