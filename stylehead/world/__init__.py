"""The workshop: procedural heads whose truth is known, and how each embedded model was trained on them.

`python -m stylehead.world --help` lists what it does. Needs the extra: `pip install "stylehead[mini]"`.
Nothing else imports it; what others need of it (weights, true pictures) they read from folders that it wrote.
"""
