"""What the chapters of the book need beside the package that they explain: pictures, plots, saved
tables, and the checkers of the exercises. A chapter that was downloaded alone finds them here.
"""
