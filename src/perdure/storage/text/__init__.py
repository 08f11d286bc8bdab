"""Full-text search without any model: texts to terms, terms to scores. Pure; knows no database.

Here: which texts a value has (`values`), what an analyser makes of them (`analyser`; its parts are `letters`,
`languages`, `queries`), what a match is worth (`bm25`).
Not here: the rows of an index, candidates, statistics.
"""
