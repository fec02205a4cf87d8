"""Lab nodes: throw-away machines on this computer, with a systemd, an sshd and a network of their own.

A node is a systemd-nspawn machine. Its disk is an overlay above the image that the set-up made, its network a veth into
its own namespace on the stack's bridge. It is provisioned exactly like a rented server. Run twice, every function here
does nothing more; cut off at any point, the next call takes up what is there.

    start(state)   makes it, or boots it again with its disk, or adopts it; answers when an SSH login works
    read(state)    what is there, None when it is not
    remove(state)  leaves nothing of it; with the last node of a stack goes the stack's network
    sweep(stack)   the same for everything that bears the stack's name, recorded or not
"""

from provisioning.lab.image import image_dir
from provisioning.lab.nodes import nodes_of, read, remove, start, sweep
from provisioning.lab.values import LabNodeFacts, LabNodeState

__all__ = ["LabNodeFacts", "LabNodeState", "image_dir", "nodes_of", "read", "remove", "start", "sweep"]
