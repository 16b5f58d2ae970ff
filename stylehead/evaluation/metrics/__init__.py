"""One file a metric: a pure function of features, pictures, masks or depths; it loads and draws nothing."""
