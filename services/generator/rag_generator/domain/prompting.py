"""What a model is asked: the instruction, the passages, the conversation before, the question."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rag_common.contracts import Passage, Turn
from rag_common.errors import PermanentError
from rag_generator.domain.citing import without_markers
from rag_generator.domain.hardening import as_data, as_line, boundary
from rag_generator.domain.llm import ChatMessage, Prompt
from rag_generator.domain.selection import choose, in_reading_order
from rag_generator.domain.templates import TemplateLanguage, Templates, template_language
from rag_generator.domain.tokens import estimated_tokens

CHAT_TOKENS = 32
"""Of what a chat template puts around two messages: at most 8 for each of the three roles, and the
beginning."""
HISTORY_SHARE = 4
"""A quarter of the room is for the conversation at most; the rest is for passages."""
MAX_TITLE = 200
"""Characters; the same for the path of headings."""
MAX_TURN = 1000
"""Characters of an earlier question, and of its answer."""
REWRITE_TOKENS = 200
"""Of a rewritten question."""
REWRITE_HISTORY_TOKENS = 1500
"""Of the conversation before it, at most."""


class QuestionTooLong(PermanentError):
    """Beside the question there is no room for a passage, or for what it follows up."""

    code = "question_too_long"


@dataclass(frozen=True, slots=True)
class Composed:
    """A prompt, and the passages in it: ``[n]`` is the one at ``n - 1``.

    The first one found may be cut, everything else is as it was found.
    """

    prompt: Prompt
    passages: tuple[Passage, ...]


class Prompts:
    """Makes prompts of templates. Two messages, system and user, whatever was said before."""

    def __init__(
        self, templates: Templates, draw_code: Callable[[], str] = lambda: secrets.token_hex(4)
    ) -> None:
        """``draw_code``: a word that nobody can guess."""
        self._templates = templates
        self._draw_code = draw_code

    @property
    def version(self) -> str:
        """Of the texts; answers of two versions may differ for that alone."""
        return self._templates.version

    def answer(
        self,
        question: str,
        standalone: str,
        history: Sequence[Turn],
        passages: Sequence[Passage],
        context_tokens: int,
        max_tokens: int,
    ) -> Composed:
        """The question with as many of the passages, the most relevant first, as the context has room for.

        By :func:`estimated_tokens`, prompt and ``max_tokens`` together are not longer than
        ``context_tokens``.

        :raises QuestionTooLong: not even the beginning of the first passage fits.
        """
        language = template_language(question, standalone)
        code = self._code_for([question, standalone, *_texts(history), *(_all_text(p) for p in passages)])
        asked = _asked(code, question, standalone)
        system = self._templates.text("system", language)
        frame = self._user(language, _passages(code, ()), "", asked)
        room = context_tokens - max_tokens - CHAT_TOKENS - estimated_tokens(system) - estimated_tokens(frame)
        conversation = _conversation(code, history, room // HISTORY_SHARE)
        room -= estimated_tokens(conversation)
        numbered = f"[{len(passages)}]"
        chosen = choose(passages, room, lambda passage: _cost(code, numbered, passage))
        if passages and not chosen:
            raise QuestionTooLong(
                f"beside the question no passage fits into the model's context of {context_tokens} tokens;"
                " ask a shorter question, or give the model a larger context (RAG_LLM_CONTEXT_TOKENS)"
            )
        ordered = in_reading_order(chosen)
        user = self._user(language, _passages(code, ordered), conversation, asked)
        return Composed(_prompt(system, user, max_tokens), ordered)

    def rewrite(self, question: str, history: Sequence[Turn], context_tokens: int) -> Prompt:
        """How a follow-up would be asked without the conversation before it.

        By :func:`estimated_tokens`, prompt and answer together are not longer than ``context_tokens``.

        :raises QuestionTooLong: not even the last turn fits beside the question.
        """
        code = self._code_for([question, *_texts(history)])
        system = self._templates.text("rewrite", template_language(question))
        asked = _asked(code, question, question)
        room = (
            context_tokens - REWRITE_TOKENS - CHAT_TOKENS - estimated_tokens(system) - estimated_tokens(asked)
        )
        conversation = _conversation(code, history, min(REWRITE_HISTORY_TOKENS, room - 1))
        if history and not conversation:
            raise QuestionTooLong(
                f"beside the question no earlier one fits into the model's context of {context_tokens}"
                " tokens; ask a shorter question, or give the model a larger context (RAG_LLM_CONTEXT_TOKENS)"
            )
        return _prompt(system, f"{conversation}\n{asked}", REWRITE_TOKENS)

    def not_found(self, question: str) -> str:
        """What is said where the documents say nothing."""
        return self._templates.text("not_found", template_language(question))

    def _user(self, language: TemplateLanguage, passages: str, conversation: str, question: str) -> str:
        return self._templates.text(
            "answer", language, passages=passages, conversation=conversation, question=question
        )

    def _code_for(self, texts: Sequence[str]) -> str:
        """A code that is in none of the texts."""
        code = self._draw_code()
        while any(code in text for text in texts):
            code = self._draw_code()
        return code


def _prompt(system: str, user: str, max_tokens: int) -> Prompt:
    return Prompt((ChatMessage("system", system), ChatMessage("user", user)), max_tokens)


def _texts(history: Sequence[Turn]) -> list[str]:
    return [text for turn in history for text in (turn.question, turn.answer)]


def _all_text(passage: Passage) -> str:
    return "\n".join((passage.title, *passage.heading, passage.text))


def _passages(code: str, passages: Sequence[Passage]) -> str:
    parts = [_passage(code, f"[{n}]", passage) for n, passage in enumerate(passages, 1)]
    return "\n".join([*parts, boundary(code, "end")])


def _cost(code: str, label: str, passage: Passage) -> int:
    """Tokens of a passage among others, with the end of its last line."""
    return estimated_tokens(_passage(code, label, passage)) + 1


def _passage(code: str, label: str, passage: Passage) -> str:
    path = " › ".join(filter(None, (_title(passage.title), _title(" › ".join(passage.heading)))))
    return "\n".join(filter(None, (boundary(code, label), path, as_data(passage.text))))


def _title(text: str) -> str:
    return as_line(text, MAX_TITLE)


def _asked(code: str, question: str, standalone: str) -> str:
    """The question as it was asked, and in brackets how it was understood if that is something else."""
    lines = [as_data(question), *([f"({as_data(standalone)})"] if standalone != question else ())]
    return "\n".join((boundary(code, "question"), *lines, boundary(code, "end")))


def _conversation(code: str, history: Sequence[Turn], budget: int) -> str:
    """The newest turns that fit, the oldest first; empty without any."""
    frame = (boundary(code, "conversation"), boundary(code, "end"))
    left = budget - estimated_tokens("\n".join(frame))
    turns: list[str] = []
    for turn in reversed(history):
        text = f"Q: {as_line(turn.question, MAX_TURN)}\nA: {as_line(without_markers(turn.answer), MAX_TURN)}"
        left -= estimated_tokens(text) + 1
        if left < 0:
            break
        turns.insert(0, text)
    return "\n".join((frame[0], *turns, frame[1])) if turns else ""
