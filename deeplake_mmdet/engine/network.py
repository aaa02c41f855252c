"""Which network the processes of several machines talk over.

gloo takes the address that the machine's own name resolves to. On many machines that is 127.0.1.1, and in containers
often nothing at all: the other machines then cannot be reached. The way to the first machine is the one that all can
take, so the interface at its beginning is chosen, unless the user names one.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
import struct

_VARIABLE = 'GLOO_SOCKET_IFNAME'
_ON_THIS_MACHINE = ('LOCAL_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_SIZE', 'SLURM_NTASKS_PER_NODE')
_SIOCGIFADDR = 0x8915  # Linux: the IPv4 address of an interface


def choose_interface() -> None:
    """Have gloo use the interface that leads to MASTER_ADDR, where a run is on several machines."""
    if _VARIABLE in os.environ or not _several_machines():
        return
    address = _own_address(os.environ.get('MASTER_ADDR', ''))
    name = _interface_of(address) if address else None
    if name:
        os.environ[_VARIABLE] = name


def _several_machines() -> bool:
    """Whether there are processes elsewhere, as far as the launcher says."""
    here = next((os.environ[name] for name in _ON_THIS_MACHINE if name in os.environ), '0')
    return not here.isdigit() or int(os.environ.get('WORLD_SIZE', '1')) > int(here)


def _own_address(first: str) -> str | None:
    """This machine's IPv4 address on the way to the first one; None if it is reached within the machine."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect((first, 9))  # sends nothing
            address = way.getsockname()[0]
    except OSError:
        return None
    return None if ipaddress.ip_address(address).is_loopback else address


def _interface_of(address: str) -> str | None:
    """Name of the interface with an address; None where the system does not tell."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asked, _SIOCGIFADDR, struct.pack('256s', name.encode()[:15]))
            except OSError:  # it has no address, or this is not Linux
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None
