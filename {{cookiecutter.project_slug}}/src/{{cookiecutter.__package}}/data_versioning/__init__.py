"""Versions of data and models by DVC: pointers in git, bytes on a remote."""
