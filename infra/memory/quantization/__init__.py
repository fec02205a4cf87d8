"""Quantized weights: which scheme each matrix of a checkpoint has, and how many bytes it takes."""
