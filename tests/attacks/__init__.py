"""Attacks: what a bucket writer, a hostile server, a co-tenant or a mistake can try, and what must come of it.

Each test is named after the row of the catalogue that it is about (``rows.py`` has all of them). ``make attack`` runs
them and says how much was tried. After each test, whatever it logged, raised, showed and left in files is searched for
keys and plaintext (``witness.py``).
"""
