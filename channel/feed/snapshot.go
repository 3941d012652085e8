package feed

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// Pages is what belongs to a snapshot besides its envelope: whatever the caller
// has of it. A snapshot can be judged without; it is accepted only with all.
type Pages struct {
	// Anchor is the manifest that the snapshot ends with. It need not be there
	// where the log has that manifest.
	Anchor *Item

	// Data are the bytes of the pages, in their places; nil where a page has no
	// manifests, or is known to be the same as in the newest snapshot of the log.
	Data [][]byte
}

// SignedSnapshot is a snapshot that was accepted. It is never changed once made,
// so States may share it.
type SignedSnapshot struct {
	channel.Snapshot
	Payload  channel.Hash // of the payload: its name
	Envelope []byte
}

// Listing is a second interface of a History: what the snapshot says that was
// accepted last. Both methods return fs.ErrNotExist where there is nothing.
//
// OwedAt is the hash of a manifest that the snapshot lists and that has not come
// yet; Owes reports whether there is any. PageAt is a page, by its place.
type Listing interface {
	Owes(log channel.PublicKey) (bool, error)
	OwedAt(log channel.PublicKey, seq uint64) (channel.Hash, error)
	PageAt(log channel.PublicKey, page int) ([]byte, error)
}

// Hashes is a second interface of a History: ManifestAt for who wants the hash
// alone.
type Hashes interface {
	HashAt(log channel.PublicKey, seq uint64) (channel.Hash, error)
}

var (
	// ErrPages: what belongs to the snapshot is missing.
	ErrPages = errors.New("pages of the snapshot are missing")

	// ErrDead: a manifest that the log's snapshot does not list, and that this
	// log was joined without.
	ErrDead = errors.New("the log's snapshot does not count it any more")
)

// stepSnapshot decides about a snapshot. One that ends beyond our newest
// manifest makes the log jump there: whoever joins late begins with it. One that
// our manifests confirm says which of them do not count any more, and is kept
// to be served. In both cases whatever it names and we have must agree.
func (m *Machine) stepSnapshot(in Input, past History) Outcome {
	it, o := in.Item, in.Item.outcome(m.state.Channel)
	snap := &it.snapshot
	root, o, ok := m.rootFor(it, snap.Root, o, past)
	if !ok {
		return o
	}
	if _, err := channel.VerifySnapshot(it.env, m.state.Channel, *root); err != nil {
		return refuse(o, err)
	}
	if snap.Issued.Time().Sub(in.Now) > MaxSkew {
		return decide(o, Ignored, fmt.Errorf("%s: %w", snap.Issued, ErrFuture))
	}
	log := m.state.Logs[snap.Log]
	if log.Snapshot != nil && it.Hash == log.Snapshot.Payload {
		return decide(o, Duplicate, ErrKnown)
	}
	if _, ok := m.state.Root.RevokedKey(snap.Log); ok {
		// Who has the stolen key can date a snapshot as it likes, and put manifests
		// of its own at numbers that count no more. The chain of hashes that the
		// last good manifest ends shows them.
		return decide(o, Ignored, ErrRevoked)
	}
	if before, err := m.contradictedSnapshot(snap, log, past); err != nil {
		return undecided(o, err)
	} else if before != nil {
		return m.freeze(it, o, log, before)
	}
	if log.Frozen > 0 && snap.Seq >= log.Frozen {
		return decide(o, Ignored, fmt.Errorf("from manifest %d on: %w", log.Frozen, ErrFrozen))
	}
	if s := log.Snapshot; s != nil && !newerSnapshot(snap, it.Hash, s) {
		return decide(o, Stale, fmt.Errorf("snapshot of %d, have %d: %w", snap.Seq, s.Seq, ErrStale))
	}
	if in.Gossip {
		if err := m.ended(snap.Log, in.Now); err != nil {
			return decide(o, Ignored, err)
		}
		if !m.room(snap.Log, KindSnapshot, in.Now) {
			return decide(o, Ignored, ErrRate)
		}
		m.take(snap.Log, KindSnapshot, in.Now)
	}
	anchor, known, err := m.anchor(in, snap, log, past)
	if err != nil {
		return undecided(o, err)
	}
	if in.Pages == nil || anchor == nil {
		return decide(o, Gap, fmt.Errorf("snapshot of %d: %w", snap.Seq, ErrPages))
	}
	if !known {
		if o, ok := m.checkAnchor(in, anchor, o, past); !ok {
			return o
		}
	}
	if err := fitsAnchor(snap, &anchor.manifest); err != nil {
		return decide(o, Rejected, err)
	}
	if o, ok := m.checkPages(in, it, o, log, past); !ok {
		return o
	}
	return m.acceptSnapshot(it, o, log, anchor, past)
}

// newerSnapshot is the order of a log's snapshots. A publisher makes one for a
// number; after a backup was restored it may be two, and then all nodes end with
// the same.
func newerSnapshot(a *channel.Snapshot, hash channel.Hash, b *SignedSnapshot) bool {
	if a.Seq != b.Seq {
		return a.Seq > b.Seq
	}
	if a.Issued != b.Issued {
		return a.Issued > b.Issued
	}
	return hash.Compare(b.Payload) > 0
}

// contradictedSnapshot returns what the log's key said before and the snapshot's
// (seq, hash) contradicts, nil where there is nothing.
func (m *Machine) contradictedSnapshot(snap *channel.Snapshot, log Log, past History) ([]byte, error) {
	if snap.Seq == log.Seq && snap.Hash == log.Hash {
		return nil, nil
	}
	if snap.Seq <= log.Seq {
		hash, data, err := wordOn(past, snap.Log, log, snap.Seq)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil || hash == snap.Hash {
			return nil, err
		}
		return data, nil
	}
	if c := log.Claim; c != nil && c.ByLog && c.Seq == snap.Seq && c.Hash != snap.Hash {
		return c.Envelope, nil
	}
	return nil, nil
}

// anchor returns the manifest that a snapshot ends with: the log's own, which
// was judged before, or the one that came with it. nil if there is none.
func (m *Machine) anchor(in Input, snap *channel.Snapshot, log Log, past History) (it *Item, known bool, err error) {
	if snap.Seq <= log.Seq {
		data, err := past.ManifestAt(snap.Log, snap.Seq)
		if err == nil {
			it, err = Parse(data)
			return it, true, err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, false, err
		}
	}
	if in.Pages != nil && in.Pages.Anchor != nil && in.Pages.Anchor.Hash == snap.Hash {
		return in.Pages.Anchor, false, nil
	}
	return nil, false, nil
}

// checkAnchor judges the manifest that came with a snapshot like any other, but
// for what is before it.
func (m *Machine) checkAnchor(in Input, anchor *Item, o Outcome, past History) (Outcome, bool) {
	man := &anchor.manifest
	root, o, ok := m.rootFor(anchor, man.Root, o, past)
	if !ok {
		return o, false
	}
	if err := anchor.verifyManifest(m.state.Channel, root); err != nil {
		return refuse(o, err), false
	}
	if man.Issued.Time().Sub(in.Now) > MaxSkew {
		return decide(o, Ignored, fmt.Errorf("%s: %w", man.Issued, ErrFuture)), false
	}
	return o, true
}

// fitsAnchor checks a snapshot against the manifest that it ends with. Both are
// fixed, so every node that holds both sees the same.
func fitsAnchor(snap *channel.Snapshot, man *channel.Manifest) error {
	switch {
	case man.Log != snap.Log || man.Seq != snap.Seq || man.Epoch != snap.Epoch:
		return fmt.Errorf("it ends with manifest %d of log %s: %w", man.Seq, man.Log, channel.ErrMalformed)
	case snap.Issued < man.Issued:
		return fmt.Errorf("%s, before %s: %w", snap.Issued, man.Issued, ErrBackdated)
	case snap.Root < man.Root:
		return fmt.Errorf("root version goes back from %d to %d: %w", man.Root, snap.Root, channel.ErrChain)
	}
	return nil
}

// checkPages reads every page and holds what it lists against the log. A page
// that is the same as in the log's snapshot was held against it before.
func (m *Machine) checkPages(in Input, it *Item, o Outcome, log Log, past History) (Outcome, bool) {
	snap := &it.snapshot
	for i, ref := range snap.Pages {
		if ref.Count == 0 || log.Snapshot.has(i, ref) {
			continue
		}
		if i >= len(in.Pages.Data) || in.Pages.Data[i] == nil {
			return decide(o, Gap, fmt.Errorf("page %d of %d: %w", i+1, len(snap.Pages), ErrPages)), false
		}
		page, err := snap.Page(i, in.Pages.Data[i])
		if err != nil {
			return refuse(o, err), false
		}
		for n := range page.Numbers {
			live := page.At(i, n)
			if live.Seq > log.Seq {
				break
			}
			same, err := m.agrees(log, snap.Log, live, past)
			if err != nil {
				return undecided(o, err), false
			}
			if same {
				continue
			}
			_, data, err := wordOn(past, snap.Log, log, live.Seq)
			if err != nil {
				return undecided(o, err), false
			}
			o.Seq = live.Seq
			return m.freezeBy(joinPage(it.encoded, in.Pages.Data[i]), o, log, data), false
		}
	}
	return o, true
}

// has reports whether a page is the same in s.
func (s *SignedSnapshot) has(i int, ref channel.PageRef) bool {
	return s != nil && i < len(s.Pages) && s.Pages[i] == ref
}

// agrees reports whether the log has the manifest that is listed, or none of
// that number.
func (m *Machine) agrees(log Log, key channel.PublicKey, live channel.Live, past History) (bool, error) {
	var hash channel.Hash
	var err error
	if live.Seq == log.Seq {
		return live.Hash == log.Hash, nil
	}
	if h, ok := past.(Hashes); ok {
		hash, err = h.HashAt(key, live.Seq)
	} else {
		hash, _, err = hashAt(past, key, live.Seq)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return hash == live.Hash, err
}

// acceptSnapshot keeps a snapshot, and moves an older log to where it ends.
func (m *Machine) acceptSnapshot(it *Item, o Outcome, log Log, anchor *Item, past History) Outcome {
	snap := &it.snapshot
	log.Snapshot = &SignedSnapshot{Snapshot: *snap, Payload: it.Hash, Envelope: it.encoded}
	if list, ok := past.(Listing); ok && log.Joined > 0 {
		owes, err := list.Owes(snap.Log)
		if err != nil {
			return undecided(o, err)
		}
		if owes { // what the one before listed and this one does not will never come
			log.Joined = snap.Seq
		}
	}
	if snap.Seq > log.Seq {
		log = logAfter(log, anchor)
		log.Joined = snap.Seq
		if c := log.Claim; c != nil && c.Seq <= snap.Seq {
			log.Claim = nil
			if c.Seq == snap.Seq && c.Hash == snap.Hash && newer(&c.Head, log.Head) {
				log.Head = c
			}
		}
	}
	m.state.Logs[snap.Log] = log
	o.Changed = true
	return decide(o, Accepted, nil)
}

// fill decides about a manifest that the log passes over: it is listed by the
// snapshot and still to come, or it counts no more.
func (m *Machine) fill(in Input, o Outcome, log Log, past History) Outcome {
	it := in.Item
	man := &it.manifest
	list, ok := past.(Listing)
	if !ok || log.Snapshot == nil {
		return undecided(o, fmt.Errorf("manifest %d of log %s: %w", man.Seq, man.Log, fs.ErrNotExist))
	}
	hash, err := list.OwedAt(man.Log, man.Seq)
	if errors.Is(err, fs.ErrNotExist) {
		return decide(o, Stale, fmt.Errorf("manifest %d: %w", man.Seq, ErrDead))
	}
	if err != nil {
		return undecided(o, err)
	}
	if hash != it.Hash {
		i := int((man.Seq - 1) / channel.PageSpan)
		page, err := list.PageAt(man.Log, i)
		if err != nil {
			return undecided(o, err)
		}
		return m.freeze(it, o, log, joinPage(log.Snapshot.Envelope, page))
	}
	if log.Frozen > 0 && man.Seq >= log.Frozen {
		return decide(o, Ignored, fmt.Errorf("from manifest %d on: %w", log.Frozen, ErrFrozen))
	}
	// Times, roots and epochs do not go back along a log, and its newest
	// manifest is known: no other may be beyond it.
	if man.Issued > log.Issued || man.Root > log.Root || man.Epoch > log.Epoch {
		return decide(o, Ignored, fmt.Errorf("manifest %d is beyond %d: %w", man.Seq, log.Seq, ErrBackdated))
	}
	o.Changed = true
	return decide(o, Accepted, nil)
}

// joinPage makes one side of a proof of a snapshot and that page of it which the
// other side contradicts; which one it is follows from the number that the other
// side is about.
func joinPage(envelope, page []byte) []byte {
	data, err := dcbor.Marshal([][]byte{envelope, page})
	if err != nil {
		return nil // two byte strings can always be encoded
	}
	return data
}

// parseSide reads one side of a proof: an envelope, or a snapshot's with a page.
func parseSide(data []byte) (it *Item, page []byte, err error) {
	if len(data) == 0 || data[0] != 0x82 {
		it, err = Parse(data)
		return it, nil, err
	}
	var parts [][]byte
	if len(data) > channel.MaxEnvelope {
		return nil, nil, fmt.Errorf("snapshot with a page: %w", channel.ErrTooLarge)
	}
	if err := dcbor.Unmarshal(data, &parts); err != nil {
		return nil, nil, fmt.Errorf("snapshot with a page: %w: %w", channel.ErrMalformed, err)
	}
	if len(parts) != 2 || len(parts[0]) == 0 || len(parts[1]) == 0 {
		return nil, nil, fmt.Errorf("snapshot with a page: %w", channel.ErrMalformed)
	}
	if it, err = Parse(parts[0]); err != nil {
		return nil, nil, err
	}
	if it.Kind != KindSnapshot {
		return nil, nil, fmt.Errorf("%s with a page: %w", it.Kind, channel.ErrMalformed)
	}
	return it, parts[1], nil
}

// listed is the hash of manifest seq on a page of the snapshot.
func (it *Item) listed(seq uint64, data []byte) (channel.Hash, error) {
	if seq == 0 || seq > it.snapshot.Seq {
		return channel.Hash{}, fmt.Errorf("manifest %d is beyond the snapshot: %w", seq, channel.ErrMalformed)
	}
	i := int((seq - 1) / channel.PageSpan)
	page, err := it.snapshot.Page(i, data)
	if err != nil {
		return channel.Hash{}, err
	}
	for n := range page.Numbers {
		if live := page.At(i, n); live.Seq == seq {
			return live.Hash, nil
		}
	}
	return channel.Hash{}, fmt.Errorf("manifest %d is not on the page: %w", seq, channel.ErrMalformed)
}
