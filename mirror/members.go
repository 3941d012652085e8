package mirror

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// MaxMembers bounds a group. Those that were there first stay.
	MaxMembers = 64
	// MaxBeat bounds an encoded beat.
	MaxBeat = 96 << 10
	// MaxChannels and MaxAddrs bound what a beat lists.
	MaxChannels, MaxAddrs = 1024, 8
	// Skew is how far the clocks of members may be apart.
	Skew = 5 * time.Minute

	maxName, maxText = 128, 256
)

var (
	// ErrBeat: what came is no beat, or not of whom it says.
	ErrBeat = errors.New("no beat of a member")
	// ErrOld: a beat was sent before one that is known, or too long ago.
	ErrOld = errors.New("old beat")
	// ErrStranger: the beat is not of a member that is let in.
	ErrStranger = errors.New("not let into this group")
)

// Beat is what a member says of itself, again and again.
type Beat struct {
	Version  int      `json:"version"`           // 1
	Group    string   `json:"group"`             // so that it counts in no other
	Peer     string   `json:"peer"`              // its name: the id of its node
	At       int64    `json:"at"`                // when it was said, in milliseconds since 1970; ascends
	Addrs    []string `json:"addrs"`             // where it is reached
	Channels []string `json:"channels"`          // ids of those that it mirrors
	News     uint64   `json:"news"`              // grows when it has got something
	Leaving  bool     `json:"leaving,omitempty"` // it ends
}

// signed is a beat as it travels.
type signed struct {
	Beat []byte `json:"beat"`
	Sig  []byte `json:"sig"` // over context || beat, by the key of the peer
}

// signs is what stands before what is signed, so that no other signature of the key
// is one of a beat.
const signs = "aml-mirror-beat-v1\n"

// Seal encodes and signs a beat.
func Seal(b Beat, sign func([]byte) ([]byte, error)) ([]byte, error) {
	b.Version = 1
	if err := b.check(); err != nil {
		return nil, err
	}
	data, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encoding a beat: %w", err)
	}
	sig, err := sign(append([]byte(signs), data...))
	if err != nil {
		return nil, fmt.Errorf("signing a beat: %w", err)
	}
	return json.Marshal(signed{data, sig})
}

// Open reads a beat of the group, and checks its signature with verify, which is
// given the name of the peer.
func Open(data []byte, group string, verify func(peer string, msg, sig []byte) error) (Beat, error) {
	var s signed
	var b Beat
	if len(data) > MaxBeat || json.Unmarshal(data, &s) != nil || len(s.Sig) > 1024 || json.Unmarshal(s.Beat, &b) != nil {
		return Beat{}, ErrBeat
	}
	if err := b.check(); err != nil {
		return Beat{}, err
	}
	if b.Group != group {
		return Beat{}, fmt.Errorf("%w: it is of another group", ErrBeat)
	}
	if err := verify(b.Peer, append([]byte(signs), s.Beat...), s.Sig); err != nil {
		return Beat{}, fmt.Errorf("%w: %w", ErrBeat, err)
	}
	return b, nil
}

func (b *Beat) check() error {
	switch {
	case b.Version != 1:
		return fmt.Errorf("%w: version %d", ErrBeat, b.Version)
	case !word(b.Peer, maxName), !word(b.Group, maxName), b.At <= 0:
		return ErrBeat
	case len(b.Addrs) > MaxAddrs, len(b.Channels) > MaxChannels:
		return fmt.Errorf("%w: it lists too much", ErrBeat)
	}
	for _, s := range slices.Concat(b.Addrs, b.Channels) {
		if s == "" || len(s) > maxText {
			return ErrBeat
		}
	}
	return nil
}

func word(s string, most int) bool {
	return s != "" && len(s) <= most && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// Members are who is alive in a group. It is owned by one goroutine, or guarded by
// whoever has it.
type Members struct {
	ttl   time.Duration
	allow map[string]bool // empty: everybody
	all   map[string]member
}

type member struct {
	beat  Beat
	heard time.Time
	gone  bool // it has said that it leaves: kept, so that no older beat brings it back
}

// NewMembers are none, each of which is dead when it was not heard for ttl. If there
// are names in allow, nobody else is let in.
func NewMembers(ttl time.Duration, allow ...string) *Members {
	m := &Members{ttl: ttl, allow: map[string]bool{}, all: map[string]member{}}
	for _, name := range allow {
		m.allow[name] = true
	}
	return m
}

// Heard takes a beat in, and reports whether something is new in it beside that the
// member lives: that it is there, where, what it mirrors, that it has news. wall is the
// time of day; now may be a clock that stands still while nobody can be heard, so that
// a cut connection makes nobody dead.
func (m *Members) Heard(b Beat, wall, now time.Time) (changed bool, err error) {
	if len(m.allow) > 0 && !m.allow[b.Peer] {
		return false, fmt.Errorf("%.64s: %w", b.Peer, ErrStranger)
	}
	if at := time.UnixMilli(b.At); at.Before(wall.Add(-Skew)) || at.After(wall.Add(Skew)) {
		return false, fmt.Errorf("%w: the clocks of %.64s and of this machine are apart", ErrOld, b.Peer)
	}
	old, known := m.all[b.Peer]
	if known && b.At <= old.beat.At {
		return false, ErrOld
	}
	if !known {
		if m.forget(now); len(m.all) >= MaxMembers {
			return false, fmt.Errorf("a group has %d members at most: %w", MaxMembers, ErrStranger)
		}
	}
	m.all[b.Peer] = member{beat: b, heard: now, gone: b.Leaving}
	alive := known && !old.gone && now.Sub(old.heard) < m.ttl
	return alive == b.Leaving || b.News != old.beat.News || !slices.Equal(b.Addrs, old.beat.Addrs) || !slices.Equal(b.Channels, old.beat.Channels), nil
}

// forget makes room: whoever is dead for longer than an old beat counts.
func (m *Members) forget(now time.Time) {
	maps.DeleteFunc(m.all, func(_ string, x member) bool { return now.Sub(x.heard) > m.ttl+2*Skew })
}

// Live returns the members that are alive, by name.
func (m *Members) Live(now time.Time) []Beat {
	var out []Beat
	for _, name := range slices.Sorted(maps.Keys(m.all)) {
		if x := m.all[name]; !x.gone && now.Sub(x.heard) < m.ttl {
			out = append(out, x.beat)
		}
	}
	return out
}

// Known returns those that are alive or were not long ago, by name: they may have
// something still, and be slow.
func (m *Members) Known(now time.Time) []Beat {
	m.forget(now)
	var out []Beat
	for _, name := range slices.Sorted(maps.Keys(m.all)) {
		if x := m.all[name]; !x.gone {
			out = append(out, x.beat)
		}
	}
	return out
}

// In are the names of those of beats that mirror a channel.
func In(beats []Beat, channel string) []string {
	var out []string
	for _, b := range beats {
		if slices.Contains(b.Channels, channel) {
			out = append(out, b.Peer)
		}
	}
	return out
}
