"""The embedded models, their true pictures and their words: what `stylehead.world` wrote."""
