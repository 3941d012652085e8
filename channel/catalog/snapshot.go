package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// Snapshot is the newest snapshot of a log, and what belongs to it.
type Snapshot struct {
	channel.Snapshot
	Payload  channel.Hash // of the payload: its name
	Envelope []byte
	Anchor   []byte // the envelope of the manifest that it ends with
}

// OfferSnapshot takes in a snapshot of a log, as Offer does an envelope. anchor
// is the manifest that it ends with, nil if it is here; pages are the bytes of
// its pages, in their places, nil for one without manifests, or which is the
// same in the newest snapshot here. What was missing gives Gap with ErrPages.
//
// Where the log ended before it, it jumps to the snapshot: from then on the
// manifests that it lists, and that are not here, are owed (see LogInfo), until
// Offer has taken them in.
func (c *Catalog) OfferSnapshot(ctx context.Context, envelope, anchor []byte, pages [][]byte) (feed.Outcome, error) {
	it, p, err := parseSnapshot(envelope, anchor, pages)
	if err != nil {
		return feed.Refuse(err), nil
	}
	var o feed.Outcome
	err = c.update(ctx, "offering a snapshot to the catalogue", func(t *tx) (err error) {
		o, err = t.offerSnapshot(it, p)
		return err
	})
	return o, err
}

// AppendSnapshot is OfferSnapshot of one's own: it is accepted, or known already,
// or nothing changes and the error says why.
func (c *Catalog) AppendSnapshot(ctx context.Context, envelope []byte, pages [][]byte) error {
	it, p, err := parseSnapshot(envelope, nil, pages)
	if err != nil {
		return err
	}
	return c.update(ctx, "appending to own channel", func(t *tx) error {
		o, err := t.offerSnapshot(it, p)
		if err == nil && o.Verdict != feed.Accepted && o.Verdict != feed.Duplicate {
			err = fmt.Errorf("snapshot of %d is %s: %w", o.Seq, o.Verdict, o.Err)
		}
		return err
	})
}

func parseSnapshot(envelope, anchor []byte, pages [][]byte) (*feed.Item, *feed.Pages, error) {
	it, err := feed.Parse(envelope)
	if err == nil && it.Kind != feed.KindSnapshot {
		err = fmt.Errorf("%s where a snapshot is meant: %w", it.Kind, channel.ErrMalformed)
	}
	if err != nil {
		return nil, nil, err
	}
	p := &feed.Pages{Data: pages}
	if anchor != nil {
		p.Anchor, err = feed.Parse(anchor)
		if err == nil && p.Anchor.Kind != feed.KindManifest {
			err = fmt.Errorf("%s where a manifest is meant: %w", p.Anchor.Kind, channel.ErrMalformed)
		}
	}
	return it, p, err
}

func (t *tx) offerSnapshot(it *feed.Item, p *feed.Pages) (feed.Outcome, error) {
	k, err := t.route(it)
	if errors.Is(err, ErrUnknown) {
		return feed.Outcome{Verdict: feed.Ignored, Kind: it.Kind, Channel: it.Channel, Hash: it.Hash, Err: err}, nil
	}
	if err != nil {
		return feed.Outcome{}, err
	}
	if k.reason == Listed {
		return feed.Outcome{Verdict: feed.Ignored, Kind: it.Kind, Channel: k.id, Hash: it.Hash, Err: ErrNotFollowed}, nil
	}
	o := k.machine.Step(feed.Input{Now: t.c.cfg.Now(), Item: it, Pages: p}, past{t, k})
	if errors.Is(o.Err, feed.ErrHistory) {
		return feed.Outcome{}, o.Err
	}
	before := k.saved[o.Log].Snapshot
	if err := t.save(k, it, o); err != nil {
		return feed.Outcome{}, err
	}
	if o.Verdict == feed.Accepted {
		err = t.saveSnapshot(k, it, before, o, p)
	}
	return o, err
}

// Snapshot returns the newest snapshot of a log. It wraps ErrUnknown if there is
// none.
func (c *Catalog) Snapshot(ctx context.Context, id channel.ID, log channel.PublicKey) (Snapshot, error) {
	var out Snapshot
	err := c.view(ctx, "reading snapshot", func(s *session) error {
		_, _, snap, err := readSnapshot(s, id, log)
		out = snap
		return err
	})
	return out, err
}

func readSnapshot(s *session, id channel.ID, log channel.PublicKey) (channelNumber, logNo int64, out Snapshot, err error) {
	if channelNumber, err = channelNo(s, id); err != nil {
		return 0, 0, Snapshot{}, err
	}
	err = s.get([]any{&logNo, &out.Envelope, &out.Anchor}, `SELECT no, envelope, anchor FROM logs JOIN snapshots ON log = no
		WHERE channel = ? AND key = ?`, channelNumber, log[:])
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("snapshot of log %s: %w", log, ErrUnknown)
	}
	if err != nil {
		return 0, 0, Snapshot{}, err
	}
	snap, err := storedSnapshot(out.Envelope)
	if err != nil {
		return 0, 0, Snapshot{}, err
	}
	out.Snapshot, out.Payload = snap.Snapshot, snap.Payload
	return channelNumber, logNo, out, nil
}

func storedSnapshot(envelope []byte) (*feed.SignedSnapshot, error) {
	if envelope == nil {
		return nil, nil
	}
	env, err := channel.DecodeEnvelope(envelope)
	if err != nil {
		return nil, fmt.Errorf("%w: snapshot: %w", errDamaged, err)
	}
	snap, err := channel.OpenSnapshot(env)
	if err != nil {
		return nil, fmt.Errorf("%w: snapshot: %w", errDamaged, err)
	}
	return &feed.SignedSnapshot{Snapshot: snap, Payload: env.Hash(), Envelope: envelope}, nil
}

// Pages returns pages of the newest snapshot of a log, if that is the one with
// this hash: those with manifests from place first on to place last, in order,
// at most maxItems of them, and after the first at most maxBytes. Without an
// error next is the place after the last one that was looked at.
func (c *Catalog) Pages(ctx context.Context, id channel.ID, log channel.PublicKey, snapshot channel.Hash, first, last, maxItems, maxBytes int) (pages [][]byte, next int, err error) {
	next = last + 1
	err = c.view(ctx, "reading pages of a snapshot", func(s *session) error {
		_, no, snap, err := readSnapshot(s, id, log)
		if err != nil || snap.Payload != snapshot {
			return err
		}
		size := 0
		return s.each(func(scan func(...any) error) (bool, error) {
			var place int
			var data []byte
			if err := scan(&place, &data); err != nil {
				return false, err
			}
			if size += len(data); len(pages) == maxItems || len(pages) > 0 && size > maxBytes {
				next = place
				return false, nil
			}
			pages = append(pages, data)
			return true, nil
		}, "SELECT page, data FROM pages WHERE log = ? AND page BETWEEN ? AND ? ORDER BY page", no, first, last)
	})
	return pages, next, err
}

// LiveManifests returns manifests from to to of a log that its newest snapshot
// lists, if that is the one with this hash, in order, as far as they are here: at
// most maxItems of them, and after the first at most maxBytes.
func (c *Catalog) LiveManifests(ctx context.Context, id channel.ID, log channel.PublicKey, snapshot channel.Hash, from, to uint64, maxItems, maxBytes int) ([][]byte, error) {
	var out [][]byte
	err := c.view(ctx, "reading live manifests", func(s *session) error {
		_, no, snap, err := readSnapshot(s, id, log)
		if err != nil || snap.Payload != snapshot || maxItems <= 0 {
			return err
		}
		size := 0
		// What is here and not dead up to the snapshot's end is what it lists.
		return s.each(func(scan func(...any) error) (bool, error) {
			var envelope []byte
			if err := scan(&envelope); err != nil {
				return false, err
			}
			if size += len(envelope); len(out) > 0 && size > maxBytes {
				return false, nil
			}
			out = append(out, envelope)
			return len(out) < maxItems, nil
		}, `SELECT envelope FROM manifests m WHERE log = ?1 AND seq BETWEEN ?2 AND ?3
			AND NOT EXISTS (SELECT 1 FROM dead d WHERE d.log = ?1 AND d.seq = m.seq) ORDER BY seq`,
			no, clamp(from), clamp(min(to, snap.Seq)))
	})
	return out, err
}

// Dead returns releases of a channel that the newest snapshots of its logs do not
// count any more, after a position, in order, at most limit of them (256 if limit
// is not positive): go on after the last one's position until none come. Nobody
// who joins from now on asks for what they list, so that a node may drop it,
// unless a release that counts lists it too. The releases themselves stay.
func (c *Catalog) Dead(ctx context.Context, id channel.ID, after int64, limit int) ([]Release, error) {
	var out []Release
	err := c.view(ctx, "reading releases that do not count", func(s *session) error {
		no, err := channelNo(s, id)
		if err == nil {
			out, err = queryReleases(s, id, limit, `SELECT m.position, m.hash, m.envelope, m.body, m.ref, m.state
				FROM dead d CROSS JOIN manifests m ON m.position = d.position
				WHERE d.channel = ? AND d.position > ? ORDER BY d.position`, no, after)
		}
		return err
	})
	return out, err
}

// ErrOwed: a log is not here as its snapshot lists it.
var ErrOwed = errors.New("releases that the log's snapshot lists are missing here")

// Live returns which manifests of a log count: those that say the log's last
// word about a name, and its newest. What nobody has opened here is taken to
// count. If some are owed it wraps ErrOwed.
func (c *Catalog) Live(ctx context.Context, id channel.ID, log channel.PublicKey) ([]channel.Live, error) {
	if err := c.sayAll(ctx, id); err != nil {
		return nil, err
	}
	var out []channel.Live
	err := c.view(ctx, "reading what counts", func(s *session) error {
		no, err := channelNo(s, id)
		if err != nil {
			return err
		}
		var logNo, newest int64
		err = s.get([]any{&logNo, &newest}, "SELECT no, seq FROM logs WHERE channel = ? AND key = ?", no, log[:])
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		owes, err := owes(s, logNo)
		if err == nil && owes {
			err = fmt.Errorf("log %s: %w", log, ErrOwed)
		}
		if err != nil {
			return err
		}
		return s.each(func(scan func(...any) error) (bool, error) {
			var l channel.Live
			err := scan(&l.Seq, (*bytes32)(&l.Hash))
			out = append(out, l)
			return true, err
		}, `SELECT seq, hash FROM manifests m WHERE log = ?1
			AND NOT EXISTS (SELECT 1 FROM dead d WHERE d.log = ?1 AND d.seq = m.seq AND d.seq <> ?2)
			AND (seq = ?2 OR state IN (1, 3) OR EXISTS (SELECT 1 FROM entries e WHERE e.position = m.position)
				OR EXISTS (SELECT 1 FROM outdone o WHERE o.position = m.position)) ORDER BY seq`, logNo, newest)
	})
	return out, err
}

// sayAll works out the view of a channel again if a program wrote it that did not
// keep what other logs have outdone.
func (c *Catalog) sayAll(ctx context.Context, id channel.ID) error {
	unsaid := 0
	err := c.view(ctx, "reading channel", func(s *session) error {
		return s.get([]any{&unsaid}, "SELECT count(*) FROM unsaid WHERE channel = (SELECT no FROM channels WHERE id = ?)", id[:])
	})
	if err != nil || unsaid == 0 {
		return err
	}
	return c.update(ctx, "working out the view", func(t *tx) error {
		no, err := channelNo(t.session, id)
		if err != nil {
			return err
		}
		if err := t.rebuild(no); err != nil {
			return err
		}
		_, err = t.exec("DELETE FROM unsaid WHERE channel = ?", no)
		return err
	})
}

func owes(s *session, logNo int64) (owes bool, err error) {
	err = s.get([]any{&owes}, "SELECT EXISTS (SELECT 1 FROM owed WHERE log = ?)", logNo)
	return owes, err
}
