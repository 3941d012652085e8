package reconcile

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// State is the state vector of a channel: all by which one node can have something
// that another lacks. Two nodes with equal ones have nothing to tell each other
// of the channel.
type State struct {
	Root uint64 `cbor:"1,keyasint"`           // newest version, 0 for none
	Logs []Log  `cbor:"2,keyasint,omitempty"` // ascending by key

	Hash   *channel.Hash `cbor:"3,keyasint,omitempty"` // of the newest root, nil for none
	Forked bool          `cbor:"4,keyasint,omitempty"` // two roots of one version were proven
}

// Log is how far a node has a log.
type Log struct {
	Log    channel.PublicKey `cbor:"1,keyasint"`
	Epoch  uint64            `cbor:"2,keyasint"`
	Seq    uint64            `cbor:"3,keyasint"`           // of the newest manifest, 0 for none
	Hash   channel.Hash      `cbor:"4,keyasint"`           // of that manifest
	Frozen uint64            `cbor:"5,keyasint,omitempty"` // the number at which a fork was proven; 0 for none, or where a root has said which history stands
	Head   *Mark             `cbor:"6,keyasint,omitempty"` // the newest head that manifests confirm
	Claim  *Mark             `cbor:"7,keyasint,omitempty"` // the latest head that names what is missing

	Snapshot uint64 `cbor:"8,keyasint,omitempty"` // the number that the newest snapshot ends with, 0 for none
	Owed     uint64 `cbor:"9,keyasint,omitempty"` // how many manifests that it lists are missing
}

// Mark is what orders heads.
type Mark struct {
	Seq    uint64       `cbor:"1,keyasint"`
	Issued channel.Time `cbor:"2,keyasint"`
}

// empty reports whether nothing is known of the log. Some nodes keep a row for
// such a log and some do not.
func (l Log) empty() bool { return l.Seq == 0 && l.Frozen == 0 && l.Head == nil && l.Claim == nil }

// Digest is the hash of the state's encoding; the order of its logs does not
// matter.
func (s State) Digest() (channel.Hash, error) {
	s.Logs = slices.DeleteFunc(slices.Clone(s.Logs), Log.empty)
	slices.SortFunc(s.Logs, func(a, b Log) int { return a.Log.Compare(b.Log) })
	data, err := dcbor.Marshal(s)
	if err != nil {
		return channel.Hash{}, fmt.Errorf("encoding state vector: %w", err)
	}
	return sha256.Sum256(data), nil
}

// Channel is what a set is made of.
type Channel struct {
	ID     channel.ID
	Key    channel.Hash // discovery key
	Digest channel.Hash // of its State
	Rooted bool         // its Root is not 0
}
