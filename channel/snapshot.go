package channel

import "crypto/sha256"

// Snapshot says which manifests of a log, up to number Seq, still count: the
// payload of an Envelope of type TypeSnapshot, signed by the log's own key.
// Whoever joins late takes these and what comes after, and leaves out the rest.
//
// It carries no names, titles or keys, so that it is in clear in private
// channels too. Which manifests count is a list of numbers and hashes, cut into
// pages that are named here by their hashes: a page in which nothing has
// changed is the same page in the next snapshot.
type Snapshot struct {
	Format  uint64    `cbor:"1,keyasint" json:"format"` // format version, always 1
	Channel ID        `cbor:"2,keyasint" json:"channel"`
	Root    uint64    `cbor:"3,keyasint" json:"root"`  // version of the Root it was signed under
	Log     PublicKey `cbor:"4,keyasint" json:"log"`   // the publishing key; it also signs
	Epoch   uint64    `cbor:"5,keyasint" json:"epoch"` // of manifest Seq
	Seq     uint64    `cbor:"6,keyasint" json:"seq"`   // of the newest manifest that it covers
	Hash    Hash      `cbor:"7,keyasint" json:"hash"`  // of that manifest
	Issued  Time      `cbor:"8,keyasint" json:"issued"`
	Pages   []PageRef `cbor:"9,keyasint" json:"pages"` // page i covers the numbers PageSpan*i+1 to PageSpan*(i+1)
}

// PageRef names a page. One without live manifests is not there at all: its
// hash is zero.
type PageRef struct {
	Hash  Hash   `cbor:"1,keyasint" json:"hash"`
	Count uint64 `cbor:"2,keyasint" json:"count"` // of live manifests in it
}

// SnapshotPage lists the live manifests among PageSpan numbers of a log. It is
// signed by being named in a Snapshot.
type SnapshotPage struct {
	Format  uint64   `cbor:"1,keyasint" json:"format"`  // format version, always 1
	Numbers []uint64 `cbor:"2,keyasint" json:"numbers"` // 1 to PageSpan, ascending: the place within the page
	Hashes  HexBytes `cbor:"3,keyasint" json:"hashes"`  // of the manifests, 32 bytes each, in the same order
}

// Live is a manifest that a snapshot lists.
type Live struct {
	Seq  uint64
	Hash Hash
}

// PagesFor returns how many pages cover the numbers up to seq.
func PagesFor(seq uint64) uint64 { return (seq + PageSpan - 1) / PageSpan }

// MakePages cuts the live manifests of a log into the pages of a snapshot at
// seq, and returns how the snapshot names them, and their bytes: nil for one
// without live manifests. live ascends strictly, and ends at or below seq.
func MakePages(seq uint64, live []Live) (refs []PageRef, pages [][]byte, err error) {
	n := PagesFor(seq)
	if n > MaxPages {
		return nil, nil, snapshotTooLong(seq)
	}
	refs, pages = make([]PageRef, n), make([][]byte, n)
	for i := range n {
		page := SnapshotPage{Format: 1}
		for len(live) > 0 && live[0].Seq <= (i+1)*PageSpan {
			page.Numbers = append(page.Numbers, live[0].Seq-i*PageSpan)
			page.Hashes = append(page.Hashes, live[0].Hash[:]...)
			live = live[1:]
		}
		if len(page.Numbers) == 0 {
			continue
		}
		if pages[i], err = page.Encode(); err != nil {
			return nil, nil, err
		}
		refs[i] = PageRef{Hash: HashPayload(pages[i]), Count: uint64(len(page.Numbers))}
	}
	return refs, pages, nil
}

// At returns the i-th of the page's manifests; page is the page's place in its
// snapshot.
func (p SnapshotPage) At(page, i int) Live {
	l := Live{Seq: uint64(page)*PageSpan + p.Numbers[i]}
	copy(l.Hash[:], p.Hashes[i*sha256.Size:])
	return l
}
