"""Members of archives: addresses such as ``a.tar!/b.jpg``, which can be read on every scheme."""
