package feed

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// shelf is what a node keeps of one log's snapshot: its caller's side, in memory.
type shelf struct {
	pages map[int][]byte
	owed  map[uint64]channel.Hash
}

func (n *node) OwedAt(log channel.PublicKey, seq uint64) (channel.Hash, error) {
	if h, ok := n.shelves[log].owed[seq]; ok {
		return h, nil
	}
	return channel.Hash{}, fs.ErrNotExist
}

func (n *node) Owes(log channel.PublicKey) (bool, error) { return len(n.shelves[log].owed) > 0, nil }

func (n *node) PageAt(log channel.PublicKey, page int) ([]byte, error) {
	if data, ok := n.shelves[log].pages[page]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

// snapshot reads of=MANIFEST live=MANIFEST... (of is one of them by itself)
// issued=TIME root=N epoch=N seq=N
func (w *world) snapshot(o options, m *made) *channel.Snapshot {
	of := w.get(o["of"])
	live := []channel.Live{{Seq: of.manifest.Seq, Hash: of.hash}}
	for _, name := range w.names(o.list("live")) {
		l := w.get(name)
		live = append(live, channel.Live{Seq: l.manifest.Seq, Hash: l.hash})
	}
	slices.SortFunc(live, func(a, b channel.Live) int { return int(a.Seq) - int(b.Seq) })
	s := &channel.Snapshot{Format: 1, Channel: of.manifest.Channel, Root: of.manifest.Root, Log: of.manifest.Log, Epoch: of.manifest.Epoch,
		Seq: of.manifest.Seq, Hash: of.hash, Issued: channel.TimeOf(w.instant(o.or("issued", "+0s")))}
	if v := o["root"]; v != "" {
		s.Root = w.number(v)
	}
	if v := o["epoch"]; v != "" {
		s.Epoch = w.number(v)
	}
	var err error
	if s.Pages, m.pages, err = channel.MakePages(s.Seq, live); err != nil {
		w.fatalf("%v", err)
	}
	m.anchor = of.envelope
	return s
}

// names writes m3..5 as m3, m4 and m5.
func (w *world) names(list []string) (out []string) {
	for _, name := range list {
		from, to, many := strings.Cut(name, "..")
		if !many {
			out = append(out, name)
			continue
		}
		prefix := strings.TrimRight(from, "0123456789")
		for i := w.number(strings.TrimPrefix(from, prefix)); i <= w.number(to); i++ {
			out = append(out, fmt.Sprint(prefix, i))
		}
	}
	return out
}

// join offers a snapshot with all that belongs to it.
func (n *node) join(name string) []string {
	m := n.w.get(name)
	it, err := Parse(m.envelope)
	if err != nil {
		return n.take(name, nil, Refuse(err))
	}
	anchor, err := Parse(m.anchor)
	if err != nil {
		n.w.fatalf("%v", err)
	}
	o := n.machine.Step(Input{Now: n.w.now, Item: it, Pages: &Pages{Anchor: anchor, Data: m.pages}}, n)
	out := n.take(name, it, o)
	if o.Verdict != Accepted {
		return out
	}
	sh := &shelf{pages: make(map[int][]byte), owed: make(map[uint64]channel.Hash)}
	n.shelves[o.Log] = sh
	for i, data := range m.pages {
		if data == nil {
			continue
		}
		sh.pages[i] = data
		page, err := o.Snapshot.Page(i, data)
		if err != nil {
			n.w.fatalf("%v", err)
		}
		for j := range page.Numbers {
			if l := page.At(i, j); n.manifests[o.Log][l.Seq] == nil {
				sh.owed[l.Seq] = l.Hash
			}
		}
	}
	return append(out, n.owes(o.Log)...)
}

func (n *node) owes(log channel.PublicKey) []string {
	owed := slices.Sorted(maps.Keys(n.shelves[log].owed))
	if len(owed) == 0 {
		return nil
	}
	return []string{"  owed " + strings.Trim(fmt.Sprint(owed), "[]")}
}

// listed returns the numbers of a log that a node can give to who joins it by the
// node's snapshot, in order: those that the snapshot lists, and what follows.
func (n *node) listed(log channel.PublicKey, s *SignedSnapshot) []uint64 {
	var out []uint64
	for i, ref := range s.Pages {
		if ref.Count == 0 {
			continue
		}
		page, err := s.Page(i, n.shelves[log].pages[i])
		if err != nil {
			n.w.fatalf("%v", err)
		}
		for j := range page.Numbers {
			out = append(out, page.At(i, j).Seq)
		}
	}
	for seq := s.Seq + 1; seq <= n.machine.Log(log).Seq; seq++ {
		out = append(out, seq)
	}
	return out
}

// side names a side of a proof.
func (w *world) side(data []byte) string {
	var parts [][]byte
	if dcbor.Unmarshal(data, &parts) == nil && len(parts) == 2 {
		return "a page of " + w.nameOf(parts[0])
	}
	return w.nameOf(data)
}
