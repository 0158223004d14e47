"""The full-screen viewer: frame maps to walk about in.

Everything but ``app`` is without Textual: ``viewer`` holds what is shown and what the keys do, ``screen``
paints it as lines of text.
"""
