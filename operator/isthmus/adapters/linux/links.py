"""Links as rtnetlink(7) messages: the few attributes that we read and write."""

from __future__ import annotations

from typing import Any

from pyroute2.netlink import nla, nlmsg


class LinkMessage(nlmsg):
    """struct ifinfomsg, with three of its attributes and one of a request to list them."""

    prefix = "IFLA_"
    fields = (("family", "B"), ("__pad", "x"), ("type", "H"), ("index", "i"), ("flags", "I"), ("change", "I"))
    nla_map = (
        (3, "IFLA_IFNAME", "asciiz"),
        (4, "IFLA_MTU", "uint32"),
        (18, "IFLA_LINKINFO", "link_info"),
        (29, "IFLA_EXT_MASK", "uint32"),
    )

    class link_info(nla):
        """IFLA_LINKINFO"""

        nla_map = ((1, "IFLA_INFO_KIND", "asciiz"), (2, "IFLA_INFO_DATA", "info_data"))

        @staticmethod
        def info_data(info: Any, *_arguments: Any, **_named: Any) -> type[nla]:
            """The class of IFLA_INFO_DATA, which depends on the kind of device."""
            kinds = {"vxlan": info.vxlan, "geneve": info.geneve}
            found: type[nla] = kinds.get(info.get_attr("IFLA_INFO_KIND"), info.none)
            return found

        class vxlan(nla):
            """IFLA_INFO_DATA of a VXLAN device"""

            nla_map = ((15, "IFLA_VXLAN_PORT", "be16"),)

        class geneve(nla):
            """IFLA_INFO_DATA of a Geneve device"""

            nla_map = ((5, "IFLA_GENEVE_PORT", "be16"),)
