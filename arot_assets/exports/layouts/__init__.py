"""Layouts: how media and captions are arranged, one small file each; each writes its files and reads them back."""
