"""Both READMEs tell the same commands."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
ENGLISH, RUSSIAN = ROOT / "README.md", ROOT / "README.ru.md"


def commands(page: Path) -> list[str]:
    """The shell blocks; comments may be in the page's language."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [re.sub(r"(^|\s+)#\s.*$", "", block, flags=re.MULTILINE) for block in blocks]


def test_both_have_the_same_commands() -> None:
    assert commands(ENGLISH) == commands(RUSSIAN)
    assert commands(ENGLISH)


def test_both_name_the_same_commands_and_pages() -> None:
    for pattern in (r"^\| (`ragp .*?) \|", r"\]\(([^)]+)\)"):
        english, russian = (
            set(re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE))
            - {"README.md", "README.ru.md"}
            for page in (ENGLISH, RUSSIAN)
        )
        assert english == russian


def test_each_links_to_the_other_at_its_top() -> None:
    for page, other in ((ENGLISH, RUSSIAN), (RUSSIAN, ENGLISH)):
        assert f"]({other.name})" in "".join(page.read_text(encoding="utf-8").splitlines()[:4])
