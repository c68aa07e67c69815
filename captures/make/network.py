#!/usr/bin/env python3
"""Makes the captures of network failures: `network.py [WORD …]` plays the scenes whose capture names hold a WORD.
What is there already stays, unless --again is given. --share=K/N plays the K-th of each N scenes alone, so that N labs share them.

Needs root, iproute2, iptables, nftables, conntrack, nginx, dnsmasq, BIND, Unbound, curl, dig, kdig, tcpdump, tshark, ethtool.
"""

import importlib
import sys
import traceback

import net
import scenes

TABLES = ["network_firewall", "network_nat", "network_dns", "network_none", "network_odd",
          "network_both_firewall", "network_both_nat", "network_both_none", "network_contrast", "network_ends", "network_busy"]


def main(words):
    net.certificates()
    again, words = "--again" in words, [word for word in words if not word.startswith("--")]
    share, of = next((tuple(map(int, word[8:].split("/"))) for word in sys.argv if word.startswith("--share=")), (1, 1))
    bad = 0
    for table in TABLES:
        for scene in importlib.import_module(table).SCENES[share - 1::of]:
            if words and not any(word in view.name for word in words for view in scene.views):
                continue
            if not again and all((net.CAPTURES / f"{view.name}.toml").exists() for view in scene.views):
                continue
            for left in reversed(range(scene.tries)):
                try:
                    scenes.play(scene, table)
                    break
                except Exception as error:
                    if left:
                        continue
                    bad += 1
                    print(f"  FAILED {scene.views[0].name}: {error}")
                    if not isinstance(error, (RuntimeError, AssertionError)):
                        traceback.print_exc()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
