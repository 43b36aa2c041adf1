"""Documents and chunks: what parsing and splitting mean, without any technology."""
