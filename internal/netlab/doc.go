// Package netlab makes small internets for tests: hosts in network namespaces
// of their own, joined by links that delay, jitter, lose and limit what passes,
// behind NATs of the usual kinds, with partitions that come and go while
// programs run. It needs Linux, /dev/net/tun and the right to make namespaces
// (root, or CAP_NET_ADMIN and CAP_SYS_ADMIN); a test without them is skipped.
//
// The routers are in this process: each host has one TUN device, whose packets
// come here, are treated, and go to the device of whom they are for. No tool
// (ip, tc, iptables) and no kernel module is needed, and nothing outlives the
// process, even one that is killed: namespaces, devices and the programs in
// them end with the thread that made them.
//
// It is a tool for developers. No room of aml may import it but in tests; it
// must never touch the machine's own namespace, addresses or routes.
package netlab
