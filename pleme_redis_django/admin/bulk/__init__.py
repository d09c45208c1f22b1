"""Operations on many jobs at once: their names, permissions, previews, forms and batches."""
