"""How each embedded model is trained: `python -m stylehead.world NAME`."""
