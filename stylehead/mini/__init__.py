"""The embedded world: procedural heads, the models that learned from them, and how they were trained."""
