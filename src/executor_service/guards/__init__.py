"""What may be changed, how much of it at once, and how soon again, whatever the caller says.

`rules` decides and is pure; `facts` looks at the cluster for it; `guard` brings both together, with the ledger.
"""
