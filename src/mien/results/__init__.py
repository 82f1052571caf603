"""What Mien answers: rows of predictions and explanations, as numbers, words and pictures."""
