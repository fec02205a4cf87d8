"""The set-up: ordered steps that make a fresh Debian or Ubuntu machine ready; standard library only.

Every step is keyed by the versions it pins, is built beside its place and renamed when complete, and is skipped when
it is done. So a second run takes well under a second, and a run that was cut off goes on where it stopped.
"""
