"""Operations on many jobs at once: what they are called, whom they may touch, preview, batches, forms."""
