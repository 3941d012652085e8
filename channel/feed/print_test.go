package feed

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
)

func (w *world) nameOf(envelope []byte) string {
	for name, m := range w.made {
		if string(m.envelope) == string(envelope) {
			return name
		}
	}
	return "?"
}

func (w *world) ranges(rs []Range) string {
	var out []string
	for _, r := range rs {
		log := "roots"
		if !r.Log.IsZero() {
			log = w.keys[r.Log]
		}
		out = append(out, fmt.Sprintf("%s %d-%d", log, r.From, r.To))
	}
	return strings.Join(out, ", ")
}

// words puts names in the place of keys and ids.
func (w *world) words(s string) string {
	for key, name := range w.keys {
		s = strings.ReplaceAll(s, key.String(), name)
		s = strings.ReplaceAll(s, key.Short(), name)
	}
	return s
}

// state says what a node knows.
func (n *node) state() []string {
	w, s := n.w, n.machine.State()
	if s.Root == nil {
		return []string{"no root"}
	}
	out := []string{fmt.Sprintf("root %d", s.Root.Version)}
	if s.RootFork {
		out[0] += " forked"
	}
	keys := slices.SortedFunc(maps.Keys(s.Logs), func(a, b channel.PublicKey) int { return strings.Compare(w.keys[a], w.keys[b]) })
	for _, key := range keys {
		log, st := s.Logs[key], s.Status(key, w.now)
		line := fmt.Sprintf("%s at %d", w.keys[key], log.Seq)
		if log.Head != nil {
			line += fmt.Sprintf(", head %s", w.nameOf(log.Head.Envelope))
		}
		if log.Snapshot != nil {
			line += fmt.Sprintf(", snapshot %s", w.nameOf(log.Snapshot.Envelope))
		}
		if log.Joined > 0 {
			line += fmt.Sprintf(", joined at %d, %d owed", log.Joined, len(n.shelves[key].owed))
		}
		if log.Claim != nil {
			line += fmt.Sprintf(", claim %s", w.nameOf(log.Claim.Envelope))
		}
		for _, f := range []struct {
			is   bool
			word string
		}{{st.Fresh, "fresh"}, {!st.Fresh, "not fresh"}, {st.Behind, "behind"}, {log.Frozen > 0, "frozen"}, {st.Revoked, "revoked"}} {
			if f.is {
				line += ", " + f.word
			}
		}
		out = append(out, line)
	}
	return out
}
