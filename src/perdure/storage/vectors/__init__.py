"""Search by meaning: texts to vectors by the user's model, vectors to scores.

Here: asking the model (`embedder`), a namespace's vectors as a matrix (`spaces`), scores (`likeness`).
Not here: the rows (the backends), searches by words (`text/`), both together (`fusion.py`). NumPy is imported at first use.
"""
