"""An InstructPix2Pix as a teacher: what it predicts is a score of edits, given the picture that is edited.

Its denoiser sees noised latents x_t, the latents c of a picture, and an instruction y. With the guidance of
both (Brooks et al., CVPR 2023, Eq. 3),

    eps = eps(0, 0) + s_I (eps(c, 0) - eps(0, 0)) + s_T (eps(c, y) - eps(c, 0)),

the first two terms stand for the prediction without a prompt, and what the third is made of for what the
prompt adds: so all that asks a teacher of texts can ask this one.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from stylehead.images import resize
from stylehead.teacher.teacher import EpsPair, NoisyLatents, PromptEmbedding, Teacher

PICTURE = "picture"
"""Kind of the condition that it sees: the untouched picture."""
PICTURE_SCALE = 1.5
"""Of the guidance by the picture, as published; it suits the embedded editor, too."""


class EditingTeacher(Teacher):
    """A frozen InstructPix2Pix that encodes, decodes and predicts noise; see the file's text."""

    picture_scale: float = PICTURE_SCALE
    """s_I."""
    instruct: Callable[[str], str] = staticmethod(str)
    """Makes an instruction of a prompt; an embedded editor knows prompts as they are."""

    @property
    def latent_channels(self) -> int:
        """Channels of a latent: half of what the denoiser sees."""
        return int(self.parts.unet.config.in_channels) // 2

    def encode_prompt(self, prompt: str) -> PromptEmbedding:
        """Embed the instruction that a prompt becomes, and the empty one."""
        return super().encode_prompt(self.instruct(prompt))

    @torch.no_grad()
    def predict_all(self, noisy: Sequence[NoisyLatents], text: PromptEmbedding) -> list[EpsPair]:
        """Predict the noise of several batches, each given the picture in its condition.

        Args:
            noisy: Their conditions are of the kind `picture`, or None for no picture at all.
            text: From `encode_prompt`.

        Returns:
            Pairs whose `guided(s_T)` is the prediction under both guidances.
        """
        with self._at_hand(self.parts.unet) as unet:
            return [self._pair(unet, one, text) for one in noisy]

    def _pair(self, unet: Any, noisy: NoisyLatents, text: PromptEmbedding) -> EpsPair:
        words, nothing = text
        if noisy.condition is None:
            blank = torch.zeros_like(noisy.latents_t)
            return EpsPair(*self._eps(unet, noisy, [(blank, words), (blank, nothing)]))
        seen = self._seen(noisy.condition.image_01, like=noisy.latents_t)
        both, picture, neither = self._eps(
            unet, noisy, [(seen, words), (seen, nothing), (torch.zeros_like(seen), nothing)]
        )
        without = neither + self.picture_scale * (picture - neither)
        return EpsPair(without + both - picture, without)

    def _seen(self, image_01: Tensor, *, like: Tensor) -> Tensor:
        """Encode the picture that is edited, unscaled, as the denoiser was trained [B, C, h, w]."""
        pixels = resize(image_01.to(self.device), self.image_size) * 2 - 1
        latents = self.encode(pixels) / self.parts.vae.config.scaling_factor
        return latents.to(like).expand(len(like), -1, -1, -1)

    def _eps(
        self, unet: Any, noisy: NoisyLatents, questions: Sequence[tuple[Tensor, Tensor]]
    ) -> list[Tensor]:
        """Answer questions, each a picture's latents and words, in one pass, or one by one."""
        latents_t, timestep, _ = noisy
        count, together = len(latents_t), 1 if self.memory.split_questions else len(questions)
        answers: list[Tensor] = []
        for first in range(0, len(questions), together):
            group = questions[first : first + together]
            eps: Tensor = unet(
                torch.cat([torch.cat([latents_t, seen], dim=1) for seen, _ in group]).to(unet.dtype),
                timestep.repeat(len(group)),
                encoder_hidden_states=torch.cat([words.expand(count, -1, -1) for _, words in group]),
                return_dict=False,
            )[0].float()
            answers += eps.split(count)
        return answers
