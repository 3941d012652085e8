package copies

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/bao"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
)

// peer has what is in its map, and says that it has everything.
type peer struct {
	blobs   map[blobnet.ID][]byte
	err     error // for every Get
	noParts bool
	parts   int // bytes of parts that it gave
	wholes  int
}

func (p *peer) Have(_ context.Context, ids []blobnet.ID) ([]bool, error) {
	has := make([]bool, len(ids))
	for i := range has {
		has[i] = true
	}
	return has, nil
}

func (p *peer) Get(_ context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	blob, ok := p.blobs[id]
	switch {
	case p.err != nil:
		return dst, p.err
	case !ok:
		return dst, blobnet.ErrNotFound
	case blobnet.Sum(blob) != id:
		return dst, blobnet.ErrCorrupt
	}
	p.wholes++
	return append(dst, blob...), nil
}

func (p *peer) GetRange(_ context.Context, id blobnet.ID, r blobnet.Range, dst []byte) ([]byte, error) {
	blob, ok := p.blobs[id]
	switch {
	case p.noParts:
		return dst, errors.ErrUnsupported
	case p.err != nil:
		return dst, p.err
	case !ok:
		return dst, blobnet.ErrNotFound
	}
	proof, err := bao.Proof(nil, blob, r.Offset, r.Length)
	if err != nil {
		return dst, err
	}
	p.parts += r.Length
	return bao.Verify(dst, proof, r)
}

func blob(size int, seed byte) (blobnet.ID, []byte) {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return blobnet.Sum(b), b
}

func TestAPeerThatGivesWhatItSaysIsProvedByAPartAndOneThatDoesNotHasLied(t *testing.T) {
	ctx := t.Context()
	id, right := blob(100_000, 1)
	_, wrong := blob(100_000, 2)
	here := memstore.New(memstore.Config{})
	if err := here.Put(ctx, id, right); err != nil {
		t.Fatal(err)
	}
	nowhere := memstore.New(memstore.Config{})
	busy := fmt.Errorf("later: %w", blobnet.ErrBusy)
	for _, c := range []struct {
		name string
		here blobnet.Source
		peer *peer
		want error
	}{
		{"honest", here, &peer{blobs: map[blobnet.ID][]byte{id: right}}, nil},
		{"honest, without parts", here, &peer{blobs: map[blobnet.ID][]byte{id: right}, noParts: true}, nil},
		{"honest, and it is not here", nowhere, &peer{blobs: map[blobnet.ID][]byte{id: right}}, nil},
		{"has nothing", here, &peer{}, ErrLied},
		{"has nothing, and it is not here", nowhere, &peer{}, ErrLied},
		{"has nothing, without parts", here, &peer{noParts: true}, ErrLied},
		{"other bytes", here, &peer{blobs: map[blobnet.ID][]byte{id: wrong}}, ErrLied},
		{"other bytes as a whole", nowhere, &peer{blobs: map[blobnet.ID][]byte{id: wrong}}, ErrLied},
		{"always busy", here, &peer{err: busy}, blobnet.ErrBusy},
	} {
		err := Prove(ctx, c.here, c.peer, id)
		if !errors.Is(err, c.want) || c.want == nil && err != nil || c.want != ErrLied && errors.Is(err, ErrLied) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if part := c.here == here && !c.peer.noParts && c.want == nil; part && (c.peer.parts != blobnet.RangeAlign || c.peer.wholes > 0) {
			t.Errorf("%s: %d bytes of parts and %d whole blobs were asked for", c.name, c.peer.parts, c.peer.wholes)
		}
	}
}

func TestASampleHasEverythingOfFewAndAnEvenChoiceOfMany(t *testing.T) {
	few := NewSample[int](8)
	for i := range 8 {
		few.Add(i)
	}
	if len(few.Items()) != 8 || few.Seen() != 8 {
		t.Errorf("of 8 items it has %v", few.Items())
	}
	counts := make([]int, 100)
	for range 2000 {
		s := NewSample[int](10)
		for i := range counts {
			s.Add(i)
		}
		for _, i := range s.Items() {
			counts[i]++
		}
	}
	for i, n := range counts { // 200 each; 6 deviations are 80
		if n < 120 || n > 280 {
			t.Errorf("item %d was chosen %d times of 200", i, n)
		}
	}
}

func TestCopiesAreCountedByPeersAndByNetworks(t *testing.T) {
	yes, no := true, false
	c := Tally(3, []Holder{
		{Peer: "a", Network: "1", Has: []bool{yes, yes, yes}, Proved: true},
		{Peer: "b", Network: "1", Has: []bool{yes, yes, yes}},
		{Peer: "c", Network: "2", Has: []bool{yes, yes, no}},
		{Peer: "d", Network: "3", Has: []bool{no}},
	})
	if c.All != 2 || c.Proved != 1 || c.Networks != 1 {
		t.Errorf("all: %+v", c)
	}
	if c.Least != 2 || c.LeastCopies != 2 || c.LeastNetworks != 1 {
		t.Errorf("least: %+v", c)
	}
	if c.Copies[3] != 2 || c.Copies[2] != 1 {
		t.Errorf("copies: %v", c.Copies)
	}
	if c := Tally(2, nil); c.All != 0 || c.Least != 0 || c.LeastCopies != 0 || c.Copies[0] != 2 {
		t.Errorf("nobody: %+v", c)
	}
	if c := Tally(0, []Holder{{Peer: "a"}}); c.All != 0 || c.Least != -1 {
		t.Errorf("nothing: %+v", c)
	}
}

func TestNetworksAreTheFirst24BitsOrThe48OfIPv6(t *testing.T) {
	for _, c := range []struct {
		addr, network string
		class         Class
	}{
		{"203.0.113.9", "203.0.113.0/24", Public},
		{"::ffff:203.0.113.77", "203.0.113.0/24", Public},
		{"2001:db8:1:2::3", "2001:db8:1::/48", Public},
		{"192.168.1.2", "192.168.1.0/24", LAN},
		{"fe80::1%eth0", "fe80::/48", LAN},
		{"127.0.0.1", "loopback p", Loopback},
		{"::1", "loopback p", Loopback},
	} {
		if network, class := Network(netip.MustParseAddr(c.addr), "p"); network != c.network || class != c.class {
			t.Errorf("%s: %s, %s", c.addr, network, class)
		}
	}
	if network, class := Network(netip.Addr{}, "p"); network != "unknown" || class != Unknown {
		t.Errorf("no address: %s, %s", network, class)
	}
}
