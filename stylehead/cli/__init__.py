"""The command line. The only part that knows typer and rich; torch is imported inside command bodies."""
