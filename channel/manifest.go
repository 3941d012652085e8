package channel

import (
	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

// Manifest is one release on a log: the payload of an Envelope of type
// TypeManifest. Exactly one of Body, BodyRef and Sealed is set.
type Manifest struct {
	Format    uint64      `cbor:"1,keyasint" json:"format"` // format version, always 1
	Channel   ID          `cbor:"2,keyasint" json:"channel"`
	Root      uint64      `cbor:"3,keyasint" json:"root"`                     // version of the Root it was signed under
	Log       PublicKey   `cbor:"4,keyasint" json:"log"`                      // the publishing key; it also signs
	Epoch     uint64      `cbor:"5,keyasint" json:"epoch"`                    // of the read key; 0 in a public channel
	Seq       uint64      `cbor:"6,keyasint" json:"seq"`                      // from 1, no gaps
	Prev      *Hash       `cbor:"7,keyasint,omitempty" json:"prev,omitempty"` // hash of manifest Seq-1, absent at Seq 1
	Issued    Time        `cbor:"8,keyasint" json:"issued"`
	Body      *Body       `cbor:"9,keyasint,omitempty" json:"body,omitempty"`       // public, up to 32 KiB
	BodyRef   *codec.Ref  `cbor:"10,keyasint,omitempty" json:"bodyRef,omitempty"`   // public, larger: one sealed blob holds the Body
	Sealed    HexBytes    `cbor:"11,keyasint,omitempty" json:"sealed,omitempty"`    // private: a Sealed
	Inventory *blobnet.ID `cbor:"12,keyasint,omitempty" json:"inventory,omitempty"` // the blob that lists this release's blobs; absent when there are none
}

// Body is what a reader of the channel sees of a release. At least one of its
// fields is not empty.
type Body struct {
	Title       string            `cbor:"1,keyasint,omitempty" json:"title,omitempty"`
	Description string            `cbor:"2,keyasint,omitempty" json:"description,omitempty"`
	Metadata    map[string]string `cbor:"3,keyasint,omitempty" json:"metadata,omitempty"`
	Entries     []FileEntry       `cbor:"4,keyasint,omitempty" json:"entries,omitempty"`  // sorted by name, distinct
	Removals    []Removal         `cbor:"5,keyasint,omitempty" json:"removals,omitempty"` // sorted by name, distinct, disjoint from Entries
}

// Removal takes a name out of the channel's view (a tombstone).
type Removal struct {
	Name   string `cbor:"1,keyasint" json:"name"`
	Reason string `cbor:"2,keyasint,omitempty" json:"reason,omitempty"`
}

// FileEntry is all that a reader needs for one file: whoever has it can find,
// verify and open the file. Keep it from those who may not read the file.
type FileEntry struct {
	Name      string            `cbor:"1,keyasint" json:"name"` // relative slash path, see ValidName
	Size      uint64            `cbor:"2,keyasint" json:"size"` // plaintext bytes
	MediaType string            `cbor:"3,keyasint,omitempty" json:"mediaType,omitempty"`
	SHA256    codec.Hash        `cbor:"4,keyasint" json:"sha256"` // of the plaintext
	Mode      uint32            `cbor:"5,keyasint" json:"mode"`   // permission bits, at most 0777
	Depth     uint8             `cbor:"6,keyasint" json:"depth"`
	Root      codec.Ref         `cbor:"7,keyasint" json:"root"`
	Modified  Time              `cbor:"8,keyasint,omitempty" json:"modified,omitzero"`
	Attrs     map[string]string `cbor:"9,keyasint,omitempty" json:"attrs,omitempty"`
}

// File returns the entry's content for the codec.
func (e FileEntry) File() codec.File {
	return codec.File{Root: e.Root, Depth: e.Depth, Size: e.Size, SHA256: e.SHA256}
}
