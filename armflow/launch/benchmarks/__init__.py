"""One module a subject; each function returns rows for `armflow bench`."""
