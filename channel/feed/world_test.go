package feed

import (
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// world is what a scenario happens in: a clock, everything that was ever
// signed, by name, and nodes that each follow the channel.
type world struct {
	t    *testing.T
	line int
	now  time.Time

	channel channel.ID
	made    map[string]made
	keys    map[channel.PublicKey]string // names of keys, for printing
	nodes   map[string]*node
	order   []string // of nodes
}

// made is something that was signed.
type made struct {
	name     string
	envelope []byte
	hash     channel.Hash
	root     *channel.Root
	manifest *channel.Manifest
	pages    [][]byte // of a snapshot
	anchor   []byte
}

// node is a machine with what it has accepted: its caller's side, in memory.
type node struct {
	w         *world
	machine   *Machine
	roots     map[uint64][]byte
	manifests map[channel.PublicKey]map[uint64][]byte
	proofs    []Fork
	shelves   map[channel.PublicKey]*shelf
}

func (n *node) RootAt(version uint64) ([]byte, error) {
	if e, ok := n.roots[version]; ok {
		return e, nil
	}
	return nil, fs.ErrNotExist
}

func (n *node) ManifestAt(log channel.PublicKey, seq uint64) ([]byte, error) {
	if e, ok := n.manifests[log][seq]; ok {
		return e, nil
	}
	return nil, fs.ErrNotExist
}

func newWorld(t *testing.T) *world {
	return &world{t: t, now: channeltest.Epoch(), made: make(map[string]made),
		keys: make(map[channel.PublicKey]string), nodes: make(map[string]*node)}
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("line %d: "+format, append([]any{w.line}, args...)...)
}

// run executes one command:
//
//	root NAME key=value...      sign a root; without prev=ROOT it founds the channel
//	manifest NAME key=value...  sign a manifest, by default the next after prev=NAME
//	chain NAME N key=value...   sign manifests NAME1 to NAMEN, a second apart
//	head NAME key=value...      sign a head for of=MANIFEST
//	snapshot NAME key=value...  sign a snapshot that ends with of=MANIFEST
//	corrupt NAME of=NAME        the envelope with its last bit flipped
//	now TIME or now +DURATION   set the clock
//	node NAME...                new nodes that know nothing but the channel's id
//	step NODE NAME... [gossip]  offer envelopes to a node, as catching up or as gossip;
//	                            m3..9 offers m3 to m9
//	join NODE SNAPSHOT          offer a snapshot with its pages and the manifest that it ends with
//	evidence NODE NAME NAME     offer a proof of a fork to a node
//	sync NODE FROM              offer a node all that another one has; where it has nothing of a log, the
//	                            other's snapshot and what that lists
//	restart NODE                make the node's machine again from its state
//	state NODE                  print what the node knows
func (w *world) run(verb string, args []string) []string {
	switch verb {
	case "root", "manifest", "head", "snapshot", "corrupt":
		if len(args) == 0 {
			w.fatalf("%s has no name", verb)
		}
		if _, ok := w.made[args[0]]; ok {
			w.fatalf("%s is there already", args[0])
		}
		w.sign(verb, args[0], args[1:])
		return nil
	case "chain":
		prev := []string{}
		for i := range w.number(args[1]) {
			name := fmt.Sprint(args[0], i+1)
			w.sign("manifest", name, slices.Concat(args[2:], prev, []string{fmt.Sprintf("issued=+%ds", i)}))
			prev = []string{"prev=" + name}
		}
		return nil
	case "now":
		w.now = w.instant(args[0])
		return nil
	case "node":
		for _, name := range args {
			w.nodes[name] = &node{w: w, machine: New(w.channel), roots: make(map[uint64][]byte), manifests: make(map[channel.PublicKey]map[uint64][]byte), shelves: make(map[channel.PublicKey]*shelf)}
			w.order = append(w.order, name)
		}
		return nil
	}
	if len(args) == 0 {
		w.fatalf("%s names no node", verb)
	}
	n, ok := w.nodes[args[0]]
	if !ok {
		w.fatalf("no node %q", args[0])
	}
	switch verb {
	case "step":
		return w.step(n, args[1:])
	case "join":
		return n.join(args[1])
	case "evidence":
		f := Fork{A: w.get(args[1]).envelope, B: w.get(args[2]).envelope}
		if p := w.get(args[2]).pages; len(args) > 3 && args[3] == "page" {
			f.B = joinPage(f.B, p[0])
		}
		return n.take(args[1]+"+"+args[2], nil, n.machine.Evidence(w.now, f, n))
	case "sync":
		return w.sync(n, w.nodes[args[1]])
	case "restart":
		n.machine = Restore(n.machine.State())
		return nil
	case "state":
		return n.state()
	}
	w.fatalf("no command %q", verb)
	return nil
}

func (w *world) get(name string) made {
	m, ok := w.made[name]
	if !ok {
		w.fatalf("%q was not signed", name)
	}
	return m
}

func (w *world) step(n *node, names []string) []string {
	gossip := false
	if names[len(names)-1] == "gossip" {
		gossip, names = true, names[:len(names)-1]
	}
	var out []string
	for _, name := range names {
		from, to, many := strings.Cut(name, "..")
		if !many {
			out = append(out, n.step(name, w.get(name).envelope, gossip)...)
			continue
		}
		out = append(out, w.steps(n, from, w.number(to), gossip)...)
	}
	return out
}

// steps offers m3 to m30 for "m3..30", and says once what was the same for one
// after the other.
func (w *world) steps(n *node, from string, to uint64, gossip bool) []string {
	prefix := strings.TrimRight(from, "0123456789")
	var out []string
	var first, said, last string
	flush := func() {
		if first != "" {
			out = append(out, first+" to "+last+said)
		}
	}
	for i := w.number(strings.TrimPrefix(from, prefix)); i <= to; i++ {
		name := fmt.Sprint(prefix, i)
		lines := strings.Join(n.step(name, w.get(name).envelope, gossip), "\n> ")
		if rest := strings.TrimPrefix(lines, name); first == "" || rest != said {
			flush()
			first, said = name, rest
		}
		last = name
	}
	flush()
	return out
}

func (n *node) step(name string, envelope []byte, gossip bool) []string {
	it, err := Parse(envelope)
	if err != nil {
		return n.take(name, nil, Refuse(err))
	}
	return n.take(name, it, n.machine.Step(Input{Now: n.w.now, Item: it, Gossip: gossip}, n))
}

// take does what the catalogue does with an outcome, checks what every outcome
// must keep, and says it in words.
func (n *node) take(name string, it *Item, o Outcome) []string {
	w := n.w
	if (o.Err == nil) != (o.Verdict == Accepted) {
		w.fatalf("%s: %s with error %v", name, o.Verdict, o.Err)
	}
	if o.Verdict == Rejected && o.Changed {
		w.fatalf("%s: rejected, and the state changed", name)
	}
	for _, r := range o.Void {
		for seq := r.From; seq <= r.To; seq++ {
			delete(n.manifests[r.Log], seq)
		}
	}
	if o.Verdict == Accepted {
		switch o.Kind {
		case KindRoot:
			n.roots[o.Seq] = it.Encoded()
		case KindManifest:
			if n.manifests[o.Log] == nil {
				n.manifests[o.Log] = make(map[uint64][]byte)
			}
			n.manifests[o.Log][o.Seq] = it.Encoded()
			if sh := n.shelves[o.Log]; sh != nil {
				delete(sh.owed, o.Seq)
			}
		}
	}
	if o.Proof != nil {
		n.proofs = append(n.proofs, *o.Proof)
	}
	s := n.machine.State()
	if again := Restore(s).State(); !reflect.DeepEqual(s, again) {
		w.fatalf("%s: the state does not survive a restart", name)
	}
	for key, log := range s.Logs {
		if log.Snapshot == nil {
			n.shelves[key] = &shelf{}
		}
		if log.Joined > 0 {
			for seq := log.Joined + 1; seq <= log.Seq; seq++ {
				if n.manifests[key][seq] == nil {
					w.fatalf("%s: log %s is at %d and manifest %d was not kept", name, w.keys[key], log.Seq, seq)
				}
			}
			continue
		}
		if uint64(len(n.manifests[key])) != log.Seq {
			w.fatalf("%s: log %s is at %d and %d manifests were kept", name, w.keys[key], log.Seq, len(n.manifests[key]))
		}
	}
	line := fmt.Sprintf("%s: %s", name, o.Verdict)
	if o.Err != nil {
		line += " (" + w.words(o.Err.Error()) + ")"
	}
	if o.Relay() {
		line += ", relay"
	}
	if o.Changed && o.Verdict != Accepted {
		line += ", changed"
	}
	out := []string{line}
	if len(o.Want) > 0 {
		out = append(out, "  want "+w.ranges(o.Want))
	}
	if len(o.Void) > 0 {
		out = append(out, "  void "+w.ranges(o.Void))
	}
	if o.Proof != nil {
		out = append(out, fmt.Sprintf("  proof %s against %s", w.side(o.Proof.A), w.side(o.Proof.B)))
	}
	return out
}

// sync offers a node the roots, manifests and heads of another, as a peer that
// answers would, and says only what was not known.
func (w *world) sync(to, from *node) []string {
	var all [][]byte
	var out []string
	for v := uint64(1); from.roots[v] != nil; v++ {
		all = append(all, from.roots[v])
	}
	state := from.machine.State()
	keys := slices.SortedFunc(maps.Keys(state.Logs), func(a, b channel.PublicKey) int { return strings.Compare(w.keys[a], w.keys[b]) })
	for _, key := range keys {
		log := state.Logs[key]
		if log.Snapshot != nil && to.machine.Log(key).Seq == 0 {
			for _, e := range all { // roots
				out = append(out, to.news(e)...)
			}
			all = nil
			out = append(out, to.join(w.nameOf(log.Snapshot.Envelope))...)
			for _, seq := range from.listed(key, log.Snapshot) {
				if e := from.manifests[key][seq]; e != nil {
					all = append(all, e)
				}
			}
			log.Seq = 0
		}
		for seq := uint64(1); seq <= log.Seq; seq++ {
			if e := from.manifests[key][seq]; e != nil {
				all = append(all, e)
			}
		}
		for _, h := range []*SignedHead{log.Head, log.Claim} {
			if h != nil {
				all = append(all, h.Envelope)
			}
		}
	}
	for _, e := range all {
		out = append(out, to.news(e)...)
	}
	return out
}

// news offers an envelope as catching up, and says only what was not known.
func (n *node) news(e []byte) (out []string) {
	for _, said := range n.step(n.w.nameOf(e), e, false) {
		if !strings.Contains(said, ": duplicate") {
			out = append(out, said)
		}
	}
	return out
}
