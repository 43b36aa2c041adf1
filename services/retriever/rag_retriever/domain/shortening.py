"""Making an answer fit into one message."""

from rag_common.contracts import MAX_MESSAGE_BYTES, PassagesFound
from rag_common.errors import PermanentError


class PassageTooLarge(PermanentError):
    """Not even the best passage fits into one message."""

    code = "message_too_large"


def shortened(found: PassagesFound, limit: int = MAX_MESSAGE_BYTES) -> PassagesFound:
    """The best passages that fit into ``limit`` bytes encoded; ``reason`` says how many they are.

    :raises PassageTooLarge: the first one alone does not fit.
    """
    kept = 0
    size = len(_with(found, len(found.passages)).encode())
    for passage in found.passages:
        # each but the last is followed by a comma
        size += len(passage.model_dump_json().encode()) + 1
        if size - 1 > limit:
            break
        kept += 1
    if kept == 0:
        return _best_alone(found, limit)
    return _with(found, kept).model_copy(update={"passages": found.passages[:kept]})


def _best_alone(found: PassagesFound, limit: int) -> PassagesFound:
    """Of a text in very many documents, those others are left out."""
    best = found.passages[0].model_copy(update={"also_in": ()})
    answer = _with(found, 1).model_copy(update={"passages": (best,)})
    if len(answer.encode()) > limit:
        raise PassageTooLarge(f"the best passage does not fit into {limit} bytes")
    return answer


def _with(found: PassagesFound, kept: int) -> PassagesFound:
    """Without passages, but with the reason that names so many: no smaller number is longer."""
    cut = f"only {kept} of {len(found.passages)} passages fit into one answer"
    reasons = [found.reason, cut]
    return found.model_copy(update={"passages": (), "reason": "; ".join(filter(None, reasons))})
