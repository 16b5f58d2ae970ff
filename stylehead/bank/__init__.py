"""A bank: people from a few sides each, and what an editor, or anybody, made of the pictures.

    bank/
      bank.json                 who, from where, with which generator; and who edited what
      latents/0000.npz          key `w` [1, num_ws, w_dim]
      renders/0000_0.png        person 0 from side 0, on white
      masks/0000_0.png          where the head is, 255 = all of the pixel
      edited/0000_0.png         an edit of it (PNG, JPEG or WebP); `0000_0.second.png` is another

Other programs can fill `edited/`: the name says of what a picture is an edit. What is missing is left out.
"""

from stylehead.bank.create import Sitter, create_bank
from stylehead.bank.dataset import Bank
from stylehead.bank.fill import Filling, fill_bank, import_pictures
from stylehead.bank.gate import Verdict
from stylehead.bank.manifest import MANIFEST, BankView, EditRecord
from stylehead.bank.review import CheckedBank, check_bank

__all__ = [
    "MANIFEST",
    "Bank",
    "BankView",
    "CheckedBank",
    "EditRecord",
    "Filling",
    "Sitter",
    "Verdict",
    "check_bank",
    "create_bank",
    "fill_bank",
    "import_pictures",
]
