"""What leaves for the generator: a question, with the passages that its answer may be made of."""

from rag_common.contracts import (
    MAX_MESSAGE_BYTES,
    AnswerOptions,
    GenerateAnswer,
    PassagesFound,
    RetrievePassages,
)
from rag_retriever.domain.shortening import shortened


def command(
    query: RetrievePassages, options: AnswerOptions, standalone: str, found: PassagesFound, attempt: int
) -> GenerateAnswer:
    """The query's own words, wishes and deadline. ``attempt``: the delivery of the query that this is."""
    return GenerateAnswer(
        query_id=query.query_id,
        reply_to=query.reply_to,
        deadline=query.deadline,
        attempt=attempt,
        question=query.question,
        standalone=standalone,
        found=found,
        options=options,
    )


def fitting(command: GenerateAnswer, limit: int = MAX_MESSAGE_BYTES) -> GenerateAnswer:
    """With the best passages that fit, beside the conversation, into ``limit`` bytes encoded.

    :raises PassageTooLarge: the first one alone does not fit.
    """
    rest = len(command.encode()) - len(command.found.encode())
    return command.model_copy(update={"found": shortened(command.found, limit - rest)})
