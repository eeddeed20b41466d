"""What people would use instead of `anima`, each as a target of the harness, on the same memories and embeddings."""
