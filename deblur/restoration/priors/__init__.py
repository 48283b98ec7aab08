"""Priors: what a scene is expected to look like, one file each."""
