"""The embedder's technologies: the model and the metrics."""
