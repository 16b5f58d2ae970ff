"""Pictures, films and meshes that remember how they were made."""
