"""Placeholder for the parser of instructions (`parse_instruction`) and the finder of named objects (`find_object`)."""
