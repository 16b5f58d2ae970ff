"""Networks that take pictures: embeddings of faces and of contents, feature maps, depth, style."""
