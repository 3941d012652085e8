package tracker

import (
	"context"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"golang.org/x/sys/unix"
)

// insideEnv marks the process that runs inside of the namespace.
const insideEnv = "AML_TEST_INSIDE_NAMESPACE"

// Two nodes find each other by multicast DNS. Nothing leaves this machine: the
// test runs itself again in a new network namespace, which has a loopback
// interface only.
func TestTwoNodesFindEachOtherOnTheLAN(t *testing.T) {
	if os.Getenv(insideEnv) != "" {
		findEachOther(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Skipf("this system does not permit a new network namespace: %v", err)
	}
	err := cmd.Wait()
	switch {
	case err != nil:
		t.Fatalf("inside: %v\n%s", err, out)
	case strings.Contains(out.String(), "--- SKIP"):
		t.Skipf("inside: %s", out)
	case !strings.Contains(out.String(), "--- PASS"):
		t.Fatalf("inside: nothing ran:\n%s", out)
	}
	t.Logf("inside:\n%s", out)
}

func findEachOther(t *testing.T) {
	if ifaces, err := net.Interfaces(); err != nil || slices.ContainsFunc(ifaces, func(i net.Interface) bool {
		return i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0
	}) {
		t.Fatalf("this is not an empty namespace: %v, %v", ifaces, err)
	}
	if err := loopbackAsLAN(); err != nil {
		t.Skipf("setting up the namespace: %v", err)
	}
	lan := Config{LAN: true}
	lan.Host = newTestHost(t, libp2p.ListenAddrStrings("/ip4/0.0.0.0/tcp/0"))
	a := startNode(t, lan)
	if err := a.Announce(t.Context(), testKey(1)); err != nil {
		t.Fatal(err)
	}
	lan.Host = newTestHost(t, libp2p.ListenAddrStrings("/ip4/0.0.0.0/tcp/0"))
	b := startNode(t, lan)
	for n, other := range map[*node]*node{a: b, b: a} {
		e := n.wait(t, Found)
		if e.Peer != other.host.ID() || len(e.Addrs) != 1 || !strings.HasPrefix(e.Addrs[0].String(), "/ip4/10.77.0.1/tcp/") {
			t.Errorf("found %v", e)
		}
	}
	a.wait(t, Announced) // so they are connected, and the DHT works
	got := b.find(testKey(1))
	if len(got) != 1 || got[0] != a.host.ID() {
		t.Errorf("b finds %v", got)
	}
	// Without IPv6 here, as on many machines, the search has to end all the same.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ended := make(chan struct{})
	go func() { defer close(ended); a.stop(); b.stop() }()
	select {
	case <-ended:
	case <-ctx.Done():
		t.Error("does not end")
	}
}

// loopbackAsLAN gives the loopback interface multicast and a private address,
// and takes IPv6 from it.
func loopbackAsLAN() error {
	// Best effort: a system without IPv6 has no such file.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/lo/disable_ipv6", []byte("1"), 0)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	addr, err := unix.NewIfreq("lo:1")
	if err != nil {
		return err
	}
	flags, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	flags.SetUint16(unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOOPBACK | unix.IFF_MULTICAST)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, flags); err != nil {
		return err
	}
	if err := addr.SetInet4Addr([]byte{10, 77, 0, 1}); err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, unix.SIOCSIFADDR, addr)
}
