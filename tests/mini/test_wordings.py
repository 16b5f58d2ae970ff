import itertools

import numpy as np
import pytest

from stylehead.errors import UsageError
from stylehead.mini.captions import PROMPTED_STYLES, caption, place_prompt
from stylehead.mini.wordings import FOREIGN_PROMPTS, HELD_OUT_WORDINGS


@pytest.mark.parametrize("style", PROMPTED_STYLES)
def test_held_out_wordings_are_understood_and_were_never_captions(style):
    rng = np.random.default_rng(0)
    views = itertools.cycle(("front", "side", "back", None))
    captions = {caption(style, rng, view=view) for view in itertools.islice(views, 4000)}
    wordings = HELD_OUT_WORDINGS[style]
    assert len(set(wordings)) == 20
    assert not captions & set(wordings)
    assert {place_prompt(wording) for wording in wordings} == {style}


def test_prompts_of_other_worlds_are_refused():
    assert len(set(FOREIGN_PROMPTS)) == 50
    for prompt in FOREIGN_PROMPTS:
        with pytest.raises(UsageError, match="has never seen"):
            place_prompt(prompt)
