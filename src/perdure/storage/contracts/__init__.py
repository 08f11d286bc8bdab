"""Memory contracts: what the items of some namespaces look like, looked at when they are written.

Here: the mark of a contract's version in stored bytes (`marks`), types as checks (`shapes`), all contracts of a store
(`book`), items rewritten under the present version (`rewriting`). Not here: `Contract` itself (`store/base/contract.py`).
The words: a contract has a *version*; an item is written *under* one, 0 if there was none.
"""
