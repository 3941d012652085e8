package gossip

import (
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// What a request asks for.
const (
	askHeads     = 1 // of the channels Keys: newest root version, logs, heads
	askRoots     = 2 // of the channel Keys[0]: versions From to To
	askManifests = 3 // of the channel Keys[0]: manifests From to To of Log
	askListing   = 4 // of the topic Keys[0]: the channels listed on it
	knock        = 5 // asks for nothing: of the channels Keys, I have more than you
	askSnapshot  = 6 // of the channel Keys[0]: the newest snapshot of Log, and its pages From to To
	askLive      = 7 // of the channel Keys[0]: those of the manifests From to To of Log that the snapshot Hash lists
)

// request is what the asking end sends, one frame each. Requests on one
// stream are answered in their order, so several may be under way.
type request struct {
	Kind uint64             `cbor:"1,keyasint"`
	Keys []channel.Hash     `cbor:"2,keyasint"` // discovery keys, or a topic key
	Log  *channel.PublicKey `cbor:"3,keyasint,omitempty"`
	From uint64             `cbor:"4,keyasint,omitempty"`
	To   uint64             `cbor:"5,keyasint,omitempty"` // inclusive
	Hash *channel.Hash      `cbor:"6,keyasint,omitempty"` // of a snapshot

	Question *question `cbor:"7,keyasint,omitempty"` // reconciliation alone
}

// answer is one frame of an answer; the last one of an answer has More false.
type answer struct {
	Sections []section `cbor:"1,keyasint"`
	More     bool      `cbor:"2,keyasint"`
}

// section is what an answer says about one channel. One that the answering
// node does not know has none.
type section struct {
	Key   channel.Hash `cbor:"1,keyasint"`           // discovery key
	Root  uint64       `cbor:"2,keyasint,omitempty"` // newest version; heads only
	Logs  []logState   `cbor:"3,keyasint,omitempty"` // heads only
	Items [][]byte     `cbor:"4,keyasint,omitempty"` // envelopes
	Forks []fork       `cbor:"5,keyasint,omitempty"` // heads only

	Hash *channel.Hash `cbor:"6,keyasint,omitempty"` // of the newest root; heads only
}

// fork is a proof that a log's key, or the root keys, have signed two histories.
type fork struct {
	A []byte `cbor:"1,keyasint"`
	B []byte `cbor:"2,keyasint"`
}

// logState is how far the answering node has a log.
type logState struct {
	Log      channel.PublicKey `cbor:"1,keyasint"`
	Seq      uint64            `cbor:"2,keyasint"`
	Hash     channel.Hash      `cbor:"3,keyasint"`           // of manifest Seq
	Epoch    uint64            `cbor:"4,keyasint,omitempty"` // of it
	Snapshot uint64            `cbor:"5,keyasint,omitempty"` // the number that the newest snapshot ends with, 0 for none
}

// decodeRequest reads one request. Errors wrap channel.ErrMalformed or
// channel.ErrLimit.
func decodeRequest(data []byte) (request, error) {
	if len(data) > maxRequest {
		return request{}, fmt.Errorf("request of %d bytes: %w of %d", len(data), channel.ErrLimit, maxRequest)
	}
	var r request
	if err := dcbor.Unmarshal(data, &r); err != nil {
		return request{}, fmt.Errorf("reading request: %w: %w", channel.ErrMalformed, err)
	}
	if err := r.check(); err != nil {
		return request{}, fmt.Errorf("reading request: %w", err)
	}
	return r, nil
}

func (r request) check() error {
	one := len(r.Keys) == 1
	ranged := r.From >= 1 && r.To >= r.From && r.To-r.From < MaxRange
	log := r.Log != nil && r.Log.Check() == nil
	plain := r.From == 0 && r.To == 0 && r.Log == nil && r.Hash == nil
	var ok bool
	switch r.Kind {
	case askHeads, knock:
		ok = len(r.Keys) >= 1 && len(r.Keys) <= MaxKeys && plain
		seen := make(map[channel.Hash]bool, len(r.Keys))
		for _, k := range r.Keys {
			ok = ok && !seen[k]
			seen[k] = true
		}
	case askRoots:
		ok = one && ranged && r.Log == nil && r.Hash == nil
	case askManifests:
		ok = one && ranged && log && r.Hash == nil
	case askSnapshot:
		pages := r.From >= 1 && r.To >= r.From && r.To <= channel.MaxPages
		ok = one && log && r.Hash == nil && (pages || r.From == 0 && r.To == 0)
	case askLive:
		ok = one && ranged && log && r.Hash != nil
	case askListing:
		ok = one && plain
	case askReconcile:
		ok = len(r.Keys) == 0 && plain && r.Question != nil && r.Question.check()
	}
	if !ok || r.Question != nil && r.Kind != askReconcile {
		return fmt.Errorf("request of kind %d breaks the rules: %w", r.Kind, channel.ErrMalformed)
	}
	return nil
}

// decodeAnswer reads one frame of an answer and checks everything that does
// not depend on the request. Errors wrap channel.ErrMalformed or
// channel.ErrLimit.
func decodeAnswer(data []byte) (answer, error) {
	if len(data) > maxFrame {
		return answer{}, fmt.Errorf("answer of %d bytes: %w of %d", len(data), channel.ErrLimit, maxFrame)
	}
	var a answer
	if err := dcbor.Unmarshal(data, &a); err != nil {
		return answer{}, fmt.Errorf("reading answer: %w: %w", channel.ErrMalformed, err)
	}
	items, size := 0, 0
	seen := make(map[channel.Hash]bool, len(a.Sections))
	for _, s := range a.Sections {
		if seen[s.Key] {
			return answer{}, fmt.Errorf("answer names a channel twice: %w", channel.ErrMalformed)
		}
		seen[s.Key] = true
		if (s.Root > 0) != (s.Hash != nil) {
			return answer{}, fmt.Errorf("answer with half of what tells the newest root: %w", channel.ErrMalformed)
		}
		if len(s.Logs) > maxLogs {
			return answer{}, fmt.Errorf("answer with %d logs of one channel: %w of %d", len(s.Logs), channel.ErrLimit, maxLogs)
		}
		logs := make(map[channel.PublicKey]bool, len(s.Logs))
		for _, l := range s.Logs {
			if l.Seq == 0 || l.Snapshot > l.Seq || logs[l.Log] || l.Log.Check() != nil {
				return answer{}, fmt.Errorf("answer with an empty, repeated or impossible log: %w", channel.ErrMalformed)
			}
			logs[l.Log] = true
		}
		if len(s.Forks) > maxForks {
			return answer{}, fmt.Errorf("answer with %d forks of one channel: %w of %d", len(s.Forks), channel.ErrLimit, maxForks)
		}
		for _, f := range s.Forks {
			if len(f.A) == 0 || len(f.B) == 0 {
				return answer{}, fmt.Errorf("answer with half a fork: %w", channel.ErrMalformed)
			}
			if len(f.A)+len(f.B) > maxProof {
				return answer{}, fmt.Errorf("answer with a fork of %d bytes: %w of %d", len(f.A)+len(f.B), channel.ErrLimit, maxProof)
			}
		}
		for _, e := range s.Items {
			if len(e) == 0 {
				return answer{}, fmt.Errorf("answer with an empty envelope: %w", channel.ErrMalformed)
			}
			size += len(e)
		}
		items += len(s.Items)
	}
	if items > MaxItems {
		return answer{}, fmt.Errorf("answer with %d envelopes: %w of %d", items, channel.ErrLimit, MaxItems)
	}
	if items > 1 && size > MaxAnswer {
		return answer{}, fmt.Errorf("answer with %d bytes of envelopes: %w of %d", size, channel.ErrLimit, MaxAnswer)
	}
	return a, nil
}

func (s section) size() int {
	n := 128 + 100*len(s.Logs)
	for _, e := range s.Items {
		n += len(e) + 5
	}
	for _, f := range s.Forks {
		n += len(f.A) + len(f.B) + 16
	}
	return n
}
