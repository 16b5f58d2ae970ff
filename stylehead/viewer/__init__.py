"""A viewer in the browser (extra `viewer`): heads to turn, styles to mix, trainings to follow.

It listens on this machine alone unless told otherwise, and answers its own page alone; see `guard`.
"""
