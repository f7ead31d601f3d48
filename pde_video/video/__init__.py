"""The only room that knows files and codecs."""
