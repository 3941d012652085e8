package feed

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// State is all that a Machine remembers: what has to be stored to go on after
// a restart. It is small and bounded by the number of keys that roots have
// named, however long the logs are.
type State struct {
	Channel  channel.ID
	Root     *channel.Root // the newest; nil before version 1 is known
	RootHash channel.Hash  // of Root's payload
	RootFork bool          // two roots of one version were seen, both fully signed
	Logs     map[channel.PublicKey]Log
}

// Log is the newest of one publishing key's log. The zero Log is empty.
type Log struct {
	Seq    uint64 // of the newest manifest accepted, 0 for none
	Hash   channel.Hash
	Issued channel.Time
	Root   uint64 // root version that it was signed under
	Epoch  uint64
	Frozen uint64 // number at which a fork has been proven, 0 for none; nothing is accepted from there on

	Head  *SignedHead // the newest head that our manifests confirm
	Claim *SignedHead // the latest head that names a manifest we miss

	// Snapshot is the newest one accepted, nil for none.
	Snapshot *SignedSnapshot

	// Joined is the number up to which manifests may be missing because the log
	// jumped there by a snapshot; 0 where all are here from 1 on.
	Joined uint64
}

// SignedHead is a head with the envelope it came in. It is never changed once
// made, so States may share it.
type SignedHead struct {
	channel.Head
	Envelope []byte
	ByLog    bool // the log's own key signed it, so that it can prove a fork
}

// Machine decides for one channel. It is not safe for concurrent use: one
// goroutine at a time steps it.
type Machine struct {
	state   State
	buckets map[bucketKey]bucket
	old     *channel.Root // the older root that was looked up last
}

// New returns the machine of a channel of which nothing is known yet.
func New(id channel.ID) *Machine { return Restore(State{Channel: id}) }

// Restore returns a machine that goes on from s. It keeps s's pointers but
// not its map.
func Restore(s State) *Machine {
	m := &Machine{state: s, buckets: make(map[bucketKey]bucket)}
	m.state.Logs = maps.Clone(s.Logs)
	if m.state.Logs == nil {
		m.state.Logs = make(map[channel.PublicKey]Log)
	}
	return m
}

// State returns what must be stored. The map is the caller's; what the
// pointers lead to must not be changed.
func (m *Machine) State() State {
	s := m.state
	s.Logs = maps.Clone(s.Logs)
	return s
}

// Log returns the state of one log, zero when nothing is known of it.
func (m *Machine) Log(key channel.PublicKey) Log { return m.state.Logs[key] }

// Root returns the newest root, nil when none is known. It must not be changed.
func (m *Machine) Root() *channel.Root { return m.state.Root }

// Input is one step's occasion.
type Input struct {
	Now    time.Time
	Item   *Item
	Gossip bool   // it came unasked: the key's rate and the root's expiry apply
	Pages  *Pages // of a snapshot; nil where there are none at hand
}

// Step decides about one envelope and moves the state. When the outcome says
// Changed, the caller stores State before it steps again or tells anyone, and
// drops the machine if it cannot.
func (m *Machine) Step(in Input, past History) Outcome {
	return m.lenient(m.step(in, past))
}

func (m *Machine) step(in Input, past History) Outcome {
	if in.Item.Kind != KindRoot && in.Item.Channel != m.state.Channel {
		o := in.Item.outcome(m.state.Channel)
		o.Verdict, o.Err = Ignored, ErrForeign
		return o
	}
	switch in.Item.Kind {
	case KindRoot:
		return m.stepRoot(in, past)
	case KindManifest:
		return m.stepManifest(in, past)
	case KindSnapshot:
		return m.stepSnapshot(in, past)
	default:
		return m.stepHead(in, past)
	}
}

// rootFor returns the root version that an item is signed under, or false and
// the outcome to give instead.
func (m *Machine) rootFor(it *Item, version uint64, o Outcome, past History) (*channel.Root, Outcome, bool) {
	cur := m.state.Root
	if cur == nil || version > cur.Version {
		// Its authority cannot be judged, but a signature that does not even
		// fit the payload can.
		if err := it.env.Verify(); err != nil {
			return nil, refuse(o, err), false
		}
		have := uint64(0)
		if cur != nil {
			have = cur.Version
		}
		o.Verdict, o.Want = Gap, []Range{{From: have + 1, To: version}}
		o.Err = fmt.Errorf("root version %d, have %d: %w", version, have, ErrUnknownRoot)
		return nil, o, false
	}
	if version == cur.Version {
		return cur, o, true
	}
	if m.old == nil || m.old.Version != version {
		root, err := rootAt(past, version)
		if err != nil {
			return nil, undecided(o, err), false
		}
		m.old = &root
	}
	return m.old, o, true
}

func rootAt(past History, version uint64) (channel.Root, error) {
	data, err := past.RootAt(version)
	if err != nil {
		return channel.Root{}, fmt.Errorf("root version %d: %w", version, err)
	}
	it, err := Parse(data)
	if err != nil || it.Kind != KindRoot {
		return channel.Root{}, fmt.Errorf("stored root version %d does not parse: %w", version, errors.Join(err, channel.ErrMalformed))
	}
	return it.root, nil
}

// wordOn returns what the log's own key said of a number, as far as it is here:
// the manifest, or, where that has not come yet, the snapshot that ends with it.
func wordOn(past History, key channel.PublicKey, log Log, seq uint64) (channel.Hash, []byte, error) {
	hash, data, err := hashAt(past, key, seq)
	if s := log.Snapshot; errors.Is(err, fs.ErrNotExist) && s != nil && s.Seq == seq {
		return s.Hash, s.Envelope, nil
	}
	return hash, data, err
}

func hashAt(past History, log channel.PublicKey, seq uint64) (channel.Hash, []byte, error) {
	data, err := past.ManifestAt(log, seq)
	if err != nil {
		return channel.Hash{}, nil, fmt.Errorf("manifest %d of log %s: %w", seq, log, err)
	}
	env, err := channel.DecodeEnvelope(data)
	if err != nil {
		return channel.Hash{}, nil, fmt.Errorf("stored manifest %d of log %s: %w", seq, log, err)
	}
	return channel.HashPayload(env.Payload), data, nil
}

// refuse is Refuse for an item that was decoded.
func refuse(o Outcome, err error) Outcome {
	r := Refuse(err)
	o.Verdict, o.Err = r.Verdict, err
	return o
}

func decide(o Outcome, v Verdict, err error) Outcome {
	o.Verdict, o.Err = v, err
	return o
}

func undecided(o Outcome, err error) Outcome {
	return decide(o, Ignored, fmt.Errorf("%w: %w", ErrHistory, err))
}
