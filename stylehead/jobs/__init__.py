"""What the commands do, without a terminal: each job reads its models, works, and writes a folder as a whole.

A job reports through the `Report` that its caller hands it; the command line's prints, that of Python calls
back, and `Silent` says nothing.
"""
