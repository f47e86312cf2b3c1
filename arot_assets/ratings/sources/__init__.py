"""The forms in which ratings come, one file each; every reader gives ``Statement``."""
