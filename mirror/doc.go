// Package mirror has the rules of a fleet: who is a member, which members own a
// release, and whether one may let go of what it has.
//
// It is pure: time, beats and what others have come in as arguments, decisions go out.
// It must never know how beats travel, and nothing that a beat says may make anybody
// let go of anything: that needs copies which the asker has counted himself (Judge).
// docs/fleet.md is the text.
package mirror

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
)

// Key names what is shared out: the hash of a release's manifest.
type Key [32]byte

// Rank returns members in the order in which they own a key: by rendezvous hashing,
// so that a member that comes or goes moves no more than its own share. Each member's
// score is SHA-256("aml-mirror-v1" || key || its name); the highest goes first.
func Rank(key Key, members []string) []string {
	type scored struct {
		name  string
		score [32]byte
	}
	all := make([]scored, len(members))
	for i, name := range members {
		b := append(make([]byte, 0, 128), "aml-mirror-v1"...)
		b = append(append(b, key[:]...), name...)
		all[i] = scored{name, sha256.Sum256(b)}
	}
	slices.SortFunc(all, func(a, b scored) int {
		return cmp.Or(bytes.Compare(b.score[:], a.score[:]), cmp.Compare(a.name, b.name))
	})
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = s.name
	}
	return out
}

// Owners are the first n of Rank.
func Owners(key Key, members []string, n int) []string {
	return Rank(key, members)[:min(n, len(members))]
}

// Duty is what a member has to do about a release.
type Duty int

const (
	// Own: have it, and keep it.
	Own Duty = iota
	// Stay: keep it if it is here, since the owners do not have it all.
	Stay
	// Spare: enough others have it. It need not be kept.
	Spare
)

func (d Duty) String() string { return [...]string{"own", "stay", "spare"}[d] }

// Judge says what the duty of me is, where holds are those others that have the whole
// release, as me has found by asking them. Who is in the owners' place and does not
// have it counts for nothing, so that a member that only claims to be there takes no
// copy away from anybody.
func Judge(key Key, me string, members []string, n int, holds map[string]bool) Duty {
	owners := Owners(key, members, n)
	if slices.Contains(owners, me) {
		return Own
	}
	for _, o := range owners {
		if !holds[o] {
			return Stay
		}
	}
	if len(owners) < n {
		return Own // too few members: everybody is an owner
	}
	return Spare
}
