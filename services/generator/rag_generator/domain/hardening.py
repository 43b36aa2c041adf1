"""What documents and users say, as data within a prompt.

Everything that is not ours stands between lines that carry a code which is drawn for each prompt, so that
no text can forge them. What a tokenizer or a model could take for more than text is replaced by
look-alikes, in the prompt only: characters nobody sees (text can hide in them), tokens of chat templates
(llama.cpp and Ollama parse them in the text of messages too), lines like ours, and markers like ``[2]``.
"""

import re

from rag_generator.domain.markers import BRACKETS, MAX_NUMBER, numbers

_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""Not the joiners U+200C and U+200D: they decide how Persian, Hindi and emoji are written."""
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")

_NAMES = (
    "s|bos|eos|pad|unk|mask|cls|sep|sys|inst|system|user|assistant|human|bot|think|thinking|reasoning|tool|"
    "tools|tool_call|tool_calls|tool_response|tool_result|function_call|start_of_turn|end_of_turn|"
    "start_of_image|end_of_utterance|image_soft_token|extra_id_\\d+|unused\\d+|reserved_\\w+|fim_\\w+|"
    "begin_of_\\w+|end_of_\\w+|\\w+_token|sop|eop|eoh|eoa|eom|tokens_unused_\\d+"
)
"""Tokens in pointed brackets: of Llama 2, Mistral, Gemma, T5, Qwen, StarCoder, GLM, InternLM and their
descendants."""
_CONTROL = re.compile(
    r"<{1,2}\s?(?=[|｜])"  # ChatML, Llama 3, Phi, DeepSeek
    rf"|<{{1,2}}(?=\s?/?\s?(?:{_NAMES})\s?/?>)",
    re.IGNORECASE,
)
_BRACKETED = re.compile(
    r"\[(\s?/?\s?(?:INST|SYS|BOS|EOS|UNK|PAD|CLS|SEP|MASK|IMG\w*|TOOL_\w+|AVAILABLE_TOOLS|SYSTEM_PROMPT|"
    r"THINK|ARGS|CALL_ID|PREFIX|MIDDLE|SUFFIX|MODEL_SETTINGS|[GS]MASK)\s?"
    r"|\s?\|\s?/?\w{1,30}\s?\|\s?)\]",  # EXAONE
    re.IGNORECASE,
)
_CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`)", re.DOTALL)

_RULE = "---"


def boundary(code: str, label: str) -> str:
    """The line in front of a piece of data. ``label``: what it is; after the last one ``end``."""
    return f"{_RULE} {code} {label} {_RULE}"


def as_data(text: str) -> str:
    """Text of several lines, harmless in a prompt."""
    return _without_markers(_without_tokens(_visible(text))).strip("\n")


def as_line(text: str, longest: int) -> str:
    """The same on one line of at most ``longest`` characters."""
    line = " ".join(_visible(text).split())
    if len(line) > longest:
        line = line[: longest - 1].rstrip() + "…"
    return _without_markers(_without_tokens(line))


def _visible(text: str) -> str:
    return _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))


def _without_tokens(text: str) -> str:
    if "<" in text:
        text = _CONTROL.sub(lambda match: match[0].replace("<", "‹"), text)
    if "[" in text:
        text = _BRACKETED.sub(r"(\1)", text)
    if _RULE not in text:
        return text
    return "\n".join(map(_unlike_ours, text.split("\n")))


def _unlike_ours(line: str) -> str:
    """A line with words between hyphens gets dashes; rules, options and the like stay."""
    words = line.strip()
    if words.startswith(_RULE) and words.endswith(_RULE[0]) and words.strip("-–—=|: \t"):
        return line.replace("-", "–")
    return line


def _without_markers(text: str) -> str:
    """Code keeps its brackets: there they are indices, and a marker in code is none."""
    if not any(bracket in text for bracket in "[【［"):
        return text
    parts = _CODE.split(text)
    parts[::2] = [BRACKETS.sub(_round, part) for part in parts[::2]]
    return "".join(parts)


def _round(match: re.Match[str]) -> str:
    """What the answer's filter would take for a marker of any passage, in round brackets."""
    content = match[1] or match[2]
    return match[0] if numbers(content, MAX_NUMBER) is None else f"({content})"
