//go:build linux

package netlab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const device = "eth0"

// allowed reports why this process cannot make hosts; nil if it can.
func allowed() error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // ends with its namespace, as a Host's does
		tun, err := enter(netip.AddrFrom4([4]byte{11, 255, 255, 1}))
		if err == nil {
			err = tun.Close()
		}
		result <- err
	}()
	return <-result
}

// enter moves the calling thread, for good, to a new network namespace, whose
// default route is the device that it returns.
func enter(addr netip.Addr) (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("making a namespace: %w", err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening /dev/net/tun: %w", err)
	}
	if err := setUp(fd, addr); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "tun"), nil
}

func setUp(tun int, addr netip.Addr) error {
	sock, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	defer unix.Close(sock)
	bytes := addr.As4()
	for _, step := range []struct {
		what string
		fd   int
		dev  string
		req  uint
		set  func(*unix.Ifreq) error
	}{
		{"making the device", tun, device, unix.TUNSETIFF, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI); return nil }},
		{"setting the MTU", sock, device, unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(mtu); return nil }},
		{"setting the queue", sock, device, unix.SIOCSIFTXQLEN, func(r *unix.Ifreq) error { r.SetUint32(4096); return nil }},
		{"setting the address", sock, device, unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(bytes[:]) }},
		{"setting the netmask", sock, device, unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 255}) }},
		{"starting the device", sock, device, unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
		{"starting loopback", sock, "lo", unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
	} {
		r, err := unix.NewIfreq(step.dev)
		if err == nil {
			err = step.set(r)
		}
		if err == nil {
			err = unix.IoctlIfreq(step.fd, step.req, r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return addDefaultRoute(sock)
}

// rtentry is the kernel's struct of that name (linux/route.h) on 64-bit
// machines.
type rtentry struct {
	_                  uint64
	dst, gateway, mask unix.RawSockaddrInet4
	flags              uint16
	_                  [3]uint16
	_                  [2]uint64
	metric             int16
	_                  [3]uint16
	dev                *byte
	_                  [3]uint64
}

// addDefaultRoute sends everything to the device.
func addDefaultRoute(sock int) error {
	name, err := unix.BytePtrFromString(device)
	if err != nil {
		return err
	}
	any4 := unix.RawSockaddrInet4{Family: unix.AF_INET}
	r := rtentry{dst: any4, gateway: any4, mask: any4, flags: unix.RTF_UP, dev: name}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(sock), unix.SIOCADDRT, uintptr(unsafe.Pointer(&r))); errno != 0 {
		return fmt.Errorf("setting the default route: %w", errno)
	}
	return nil
}
