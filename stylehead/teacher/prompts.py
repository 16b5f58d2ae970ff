"""What of a prompt a text encoder reads, and what it does not."""

from pathlib import Path
from typing import Any

from stylehead.weights.pretrained import load_local, quiet_libraries


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a text encoder.

    Raises:
        MissingError: There is no such folder.
        JobError: It does not hold a tokenizer.
    """
    from transformers import CLIPTokenizer

    return load_local(CLIPTokenizer.from_pretrained, folder)


def lost_part(prompt: str, tokenizer: Any) -> str | None:
    """Return the end of a prompt that is not read, as it was typed; None when all of it is.

    Args:
        prompt: The text.
        tokenizer: Cuts it into pieces of words, with one mark before and one behind; knows the most.
    """
    limit = int(tokenizer.model_max_length)
    with quiet_libraries():
        cut = tokenizer(prompt, return_offsets_mapping=True, truncation=False, verbose=False)
    if len(cut.input_ids) <= limit:
        return None
    return prompt[cut.offset_mapping[limit - 1][0] :].strip() or None
