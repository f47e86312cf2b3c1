"""What lies inside archives: addresses such as ``a.tar!/b.jpg``, readable wherever storage reads."""
