"""The language that the command line speaks: that of the environment."""

import os

from rag_common import i18n
from rag_common.i18n import ENGLISH

__all__ = ["ENGLISH", "LANGUAGE", "_", "ngettext", "translate"]

LANGUAGE = i18n.environment_language(os.environ)


def _(template: str) -> str:
    """The template of a text of our own, for ``str.format``."""
    return i18n.template(template, LANGUAGE)


def ngettext(singular: str, plural: str, count: int) -> str:
    """The template of a text with this count, for ``str.format``."""
    return i18n.ngettext(singular, plural, count, LANGUAGE)


def translate(message: str) -> str:
    """A message that was made elsewhere: of an error, of the platform."""
    return i18n.translate(message, LANGUAGE)
