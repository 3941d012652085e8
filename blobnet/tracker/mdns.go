package tracker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/zeroconf/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	mdnsDomain  = "local"
	mdnsPrefix  = "dnsaddr=" // of a text record, as libp2p's discovery specification has it
	mdnsPort    = 4001       // required by the format, and meaningless: see the text records
	mdnsTexts   = 16         // addresses told, and addresses taken from one answer
	mdnsRestart = 30 * time.Second
)

// mdnsService answers on, and searches, the local network.
//
// It stands in for go-libp2p's own, which tells the addresses of all
// interfaces, public ones too, speaks on all of them, and where the machine
// has no IPv6 neither finds anybody nor can be closed.
type mdnsService struct {
	server *zeroconf.Server
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// startMDNS tells that id can be reached at addrs, and calls heard with whom it
// hears of, unchecked and with repetitions, and failed when the search stops
// working; it goes on trying. Close says goodbye and waits for the end.
func startMDNS(service string, id peer.ID, addrs []ma.Multiaddr, heard func(peer.AddrInfo), failed func(error)) (io.Closer, error) {
	if len(addrs) > mdnsTexts {
		addrs = addrs[:mdnsTexts]
	}
	ips, ifaces, err := mdnsInterfaces(addrs)
	if err != nil {
		return nil, err
	}
	texts := make([]string, 0, len(addrs))
	for _, a := range addrs {
		texts = append(texts, fmt.Sprintf("%s%s/p2p/%s", mdnsPrefix, a, id))
	}
	name := strings.ToLower(rand.Text()) // new each time: it has to be unique, not known
	server, err := zeroconf.RegisterProxy(name, service, mdnsDomain, mdnsPort, name, ips, texts, ifaces)
	if err != nil {
		return nil, fmt.Errorf("multicast DNS: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &mdnsService{server: server, cancel: cancel}
	s.ended.Go(func() {
		for ctx.Err() == nil {
			err := browse(ctx, service, ifaces, heard)
			if ctx.Err() != nil {
				return
			}
			failed(fmt.Errorf("multicast DNS: %w", err))
			select {
			case <-ctx.Done():
			case <-time.After(mdnsRestart):
			}
		}
	})
	return s, nil
}

func (s *mdnsService) Close() error {
	s.cancel()
	s.server.Shutdown()
	s.ended.Wait()
	return nil
}

// browse searches until ctx ends or something fails: with both families of
// addresses, or with the one that this machine has.
func browse(ctx context.Context, service string, ifaces []net.Interface, heard func(peer.AddrInfo)) error {
	var errs []error
	for _, family := range []zeroconf.IPType{zeroconf.IPv4AndIPv6, zeroconf.IPv4, zeroconf.IPv6} {
		// zeroconf closes the channel when it was able to start, and else
		// not; hence the second one.
		entries, over := make(chan *zeroconf.ServiceEntry), make(chan struct{})
		var reader sync.WaitGroup
		reader.Go(func() {
			for {
				select {
				case e, ok := <-entries:
					if !ok {
						return
					}
					for _, p := range parseMDNS(e.Text) {
						heard(p)
					}
				case <-over:
					return
				}
			}
		})
		err := zeroconf.Browse(ctx, service, mdnsDomain, entries, zeroconf.SelectIPTraffic(family), zeroconf.SelectIfaces(ifaces))
		close(over)
		reader.Wait()
		if ctx.Err() != nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// parseMDNS reads the text records of one answer. What is not an address with
// a peer id is left out; nothing else is checked.
func parseMDNS(texts []string) []peer.AddrInfo {
	if len(texts) > mdnsTexts {
		texts = texts[:mdnsTexts]
	}
	var out []peer.AddrInfo
	for _, text := range texts {
		rest, ok := strings.CutPrefix(text, mdnsPrefix)
		if !ok {
			continue
		}
		a, err := ma.NewMultiaddr(rest)
		if err != nil {
			continue
		}
		transport, id := peer.SplitAddr(a)
		if id == "" || len(transport) == 0 {
			continue
		}
		i := slices.IndexFunc(out, func(p peer.AddrInfo) bool { return p.ID == id })
		if i < 0 {
			out, i = append(out, peer.AddrInfo{ID: id}), len(out)
		}
		out[i].Addrs = append(out[i].Addrs, transport)
	}
	return out
}

// mdnsInterfaces returns the IP addresses in addrs, and the interfaces that
// have them and can do multicast: where this node is not on a local network, it
// says nothing.
func mdnsInterfaces(addrs []ma.Multiaddr) (ips []string, ifaces []net.Interface, err error) {
	for _, a := range addrs {
		if ip, err := manet.ToIP(a); err == nil && !slices.Contains(ips, ip.String()) {
			ips = append(ips, ip.String())
		}
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, nil, fmt.Errorf("listing interfaces: %w", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagMulticast == 0 {
			continue
		}
		own, err := i.Addrs()
		if err != nil {
			continue // it has gone meanwhile
		}
		if slices.ContainsFunc(own, func(a net.Addr) bool {
			n, ok := a.(*net.IPNet)
			return ok && slices.Contains(ips, n.IP.String())
		}) {
			ifaces = append(ifaces, i)
		}
	}
	if len(ifaces) == 0 {
		return nil, nil, errors.New("no interface on a local network can do multicast")
	}
	return ips, ifaces, nil
}
