"""How each embedded model is trained: `python -m stylehead.mini.recipes --help`."""
