"""Front ends: files of trained models to float models, and texts to tokens."""
