"""What the jobs dashboard shows: who may see which products, and the figures, with how they are made."""
