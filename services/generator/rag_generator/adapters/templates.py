"""The files of the prompt templates: the built-in ones, and an operator's instead of some of them."""

from pathlib import Path

from rag_generator.domain.prompting import Prompts
from rag_generator.domain.templates import KEYS, BrokenTemplate, Key, Templates, checked

BUILTIN = Path(__file__).parent.parent / "templates"
FILES: dict[str, Key] = {f"{name}.{language}.txt": (name, language) for name, language in KEYS}


def load_prompts(directory: Path | None) -> Prompts:
    """Prompts of the built-in templates, or of those in ``directory`` where it has them.

    :raises BrokenTemplate: one of the operator's cannot be used; names the file, the cause and the cure.
    """
    builtin = {key: _read(BUILTIN / name, key) for name, key in FILES.items()}
    own = (
        {}
        if directory is None
        else {FILES[file.name]: _read(file, FILES[file.name]) for file in _own(directory)}
    )
    return Prompts(Templates.of(builtin, own))


def _own(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise BrokenTemplate(
            f"RAG_PROMPTS_DIR is {directory}, which is no directory; create it, or unset the variable"
        )
    files = sorted(directory.glob("*.txt"))
    for file in files:
        if file.name not in FILES:
            raise BrokenTemplate(
                f"{file} is no prompt template; rename it to one of {', '.join(FILES)}, or remove it"
            )
    return files


def _read(file: Path, key: Key) -> str:
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise BrokenTemplate(f"the prompt template {file} is not UTF-8; save it in UTF-8") from None
    except OSError as error:
        raise BrokenTemplate(
            f"the prompt template {file} cannot be read: {error.strerror}; mend its permissions"
        ) from error
    return checked(key[0], text, str(file))
