package channel

import (
	"crypto/sha256"
	"fmt"
)

// Encode returns the payload: the one encoding of s, after Validate.
func (s Snapshot) Encode() ([]byte, error) {
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("encoding snapshot: %w", err)
	}
	return encodePayload("snapshot", s, MaxSnapshot)
}

// Sign encodes s and signs it with the log's key; another key gives
// ErrNotAuthorized.
func (s Snapshot) Sign(key PrivateKey) (Envelope, error) {
	if key.Public() != s.Log {
		return Envelope{}, fmt.Errorf("signing snapshot: %w: key %s for the log of %s", ErrNotAuthorized, key.Public().Short(), s.Log.Short())
	}
	return signPayload(TypeSnapshot, s.Encode, []PrivateKey{key})
}

// DecodeSnapshot reads what Encode writes and nothing else.
func DecodeSnapshot(payload []byte) (Snapshot, error) {
	var s Snapshot
	if err := decodePayload("snapshot", payload, MaxSnapshot, &s); err != nil {
		return Snapshot{}, err
	}
	if err := s.Validate(); err != nil {
		return Snapshot{}, fmt.Errorf("decoding snapshot: %w", err)
	}
	return s, nil
}

// Validate checks every rule that a snapshot must keep by itself;
// VerifySnapshot checks it against its root, channel/feed against its log.
func (s Snapshot) Validate() error {
	if err := checkFormat(s.Format); err != nil {
		return err
	}
	if err := checkPlace(s.Channel, s.Root, s.Log); err != nil {
		return err
	}
	if s.Seq == 0 {
		return fmt.Errorf("%w: sequence number 0; there is no snapshot before the first manifest", ErrChain)
	}
	if s.Hash.IsZero() {
		return fmt.Errorf("%w: snapshot names no manifest", ErrMalformed)
	}
	if err := s.Issued.check("time of issue"); err != nil {
		return err
	}
	if s.Seq > MaxPages*PageSpan || len(s.Pages) > MaxPages {
		return snapshotTooLong(s.Seq)
	}
	if n := PagesFor(s.Seq); uint64(len(s.Pages)) != n {
		return fmt.Errorf("%w: snapshot of %d numbers with %d pages, want %d", ErrMalformed, s.Seq, len(s.Pages), n)
	}
	for i, ref := range s.Pages {
		if most := s.spanOf(i); ref.Count > most {
			return fmt.Errorf("%w: page %d lists %d of %d numbers", ErrMalformed, i+1, ref.Count, most)
		}
		if (ref.Count == 0) != ref.Hash.IsZero() {
			return fmt.Errorf("%w: page %d has a hash and no manifests, or the reverse", ErrMalformed, i+1)
		}
	}
	if s.Pages[len(s.Pages)-1].Count == 0 {
		return fmt.Errorf("%w: snapshot does not list its own manifest %d", ErrMalformed, s.Seq)
	}
	return nil
}

func snapshotTooLong(seq uint64) error {
	return fmt.Errorf("%w: snapshot of %d numbers, at most %d are allowed", ErrLimit, seq, MaxPages*PageSpan)
}

// spanOf is how many numbers page i covers.
func (s Snapshot) spanOf(i int) uint64 { return min(PageSpan, s.Seq-uint64(i)*PageSpan) }

// Encode returns the page's one encoding, after Validate.
func (p SnapshotPage) Encode() ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("encoding page of a snapshot: %w", err)
	}
	return encodePayload("page of a snapshot", p, MaxPage)
}

// DecodePage reads what Encode writes and nothing else. Snapshot.Page checks
// also that it is the page that a snapshot names.
func DecodePage(data []byte) (SnapshotPage, error) {
	var p SnapshotPage
	if err := decodePayload("page of a snapshot", data, MaxPage, &p); err != nil {
		return SnapshotPage{}, err
	}
	if err := p.Validate(); err != nil {
		return SnapshotPage{}, fmt.Errorf("decoding page of a snapshot: %w", err)
	}
	return p, nil
}

// Validate checks every rule that a page must keep by itself.
func (p SnapshotPage) Validate() error {
	if err := checkFormat(p.Format); err != nil {
		return err
	}
	if len(p.Numbers) > PageSpan {
		return fmt.Errorf("%w: %d manifests on a page, at most %d are allowed", ErrLimit, len(p.Numbers), PageSpan)
	}
	if len(p.Numbers) == 0 {
		return fmt.Errorf("%w: page without manifests", ErrMalformed)
	}
	if len(p.Hashes) != sha256.Size*len(p.Numbers) {
		return fmt.Errorf("%w: %d bytes of hashes for %d manifests", ErrMalformed, len(p.Hashes), len(p.Numbers))
	}
	last := uint64(0)
	for i, n := range p.Numbers {
		if n <= last || n > PageSpan {
			return fmt.Errorf("%w: number %d after %d; they ascend from 1 to %d", ErrMalformed, n, last, PageSpan)
		}
		last = n
		if p.At(0, i).Hash.IsZero() {
			return fmt.Errorf("%w: manifest %d has no hash", ErrMalformed, n)
		}
	}
	return nil
}

// Page reads page i of s from its bytes: it must be the one that s names. The
// last one lists manifest s.Seq with its hash and nothing after it. Errors wrap
// ErrChain for another page than that, else they are those of DecodePage;
// ErrMalformed where s, whose signature the caller has verified, names a page
// that breaks the rules.
func (s Snapshot) Page(i int, data []byte) (SnapshotPage, error) {
	if i < 0 || i >= len(s.Pages) || s.Pages[i].Count == 0 {
		return SnapshotPage{}, fmt.Errorf("%w: the snapshot has no page %d", ErrChain, i+1)
	}
	if HashPayload(data) != s.Pages[i].Hash {
		return SnapshotPage{}, fmt.Errorf("%w: it is not page %d of the snapshot", ErrChain, i+1)
	}
	p, err := DecodePage(data)
	if err != nil {
		return SnapshotPage{}, err
	}
	if n := uint64(len(p.Numbers)); n != s.Pages[i].Count {
		return SnapshotPage{}, fmt.Errorf("%w: page %d lists %d manifests, the snapshot says %d", ErrMalformed, i+1, n, s.Pages[i].Count)
	}
	last := p.At(i, len(p.Numbers)-1)
	if last.Seq > s.Seq {
		return SnapshotPage{}, fmt.Errorf("%w: page %d lists manifest %d, after the snapshot's %d", ErrMalformed, i+1, last.Seq, s.Seq)
	}
	if i == len(s.Pages)-1 && (last.Seq != s.Seq || last.Hash != s.Hash) {
		return SnapshotPage{}, fmt.Errorf("%w: the last page does not end with the snapshot's own manifest", ErrMalformed)
	}
	return p, nil
}

// OpenSnapshot returns the snapshot inside env, without verifying a signature.
func OpenSnapshot(env Envelope) (Snapshot, error) {
	if err := env.is(TypeSnapshot); err != nil {
		return Snapshot{}, err
	}
	return DecodeSnapshot(env.Payload)
}

// VerifySnapshot returns the snapshot inside env if channel id's root, which
// the caller has verified, lets its signer make it: the snapshot names this
// channel and this root version, its only signature is by the log's key, which
// the root lists with role publish, and it was issued before root and key
// expired. A head key may not make one, since it says what mirrors may drop.
//
// Errors are those of VerifyManifest.
func VerifySnapshot(env Envelope, id ID, root Root) (Snapshot, error) {
	if err := env.Verify(); err != nil {
		return Snapshot{}, fmt.Errorf("verifying snapshot: %w", err)
	}
	s, err := OpenSnapshot(env)
	if err != nil {
		return Snapshot{}, err
	}
	if err := s.checkUnder(env.Signers(), id, root); err != nil {
		return Snapshot{}, fmt.Errorf("verifying snapshot %d of log %s: %w", s.Seq, s.Log.Short(), err)
	}
	return s, nil
}

func (s Snapshot) checkUnder(signers []PublicKey, id ID, root Root) error {
	if err := root.checkPlace(id, s.Channel, s.Root); err != nil {
		return err
	}
	if signers[0] != s.Log { // Verify saw to it that there is exactly one
		return fmt.Errorf("%w: signed by key %s, not by the log's", ErrNotAuthorized, signers[0].Short())
	}
	if err := root.checkRight(s.Log, s.Issued, RolePublish); err != nil {
		return err
	}
	if (s.Epoch != 0) != (root.Class == Private) {
		return fmt.Errorf("%w: epoch %d in a %s channel", ErrMalformed, s.Epoch, root.Class)
	}
	return nil
}
