package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// What sync serves: encoded envelopes, as they were accepted.

// ByDiscovery finds the channel with a discovery key.
func (c *Catalog) ByDiscovery(ctx context.Context, key channel.Hash) (channel.ID, error) {
	var id channel.ID
	err := c.view(ctx, "finding channel", func(s *session) error {
		err := s.get([]any{(*bytes32)(&id)}, "SELECT id FROM channels WHERE discovery = ?", key[:])
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("channel with the discovery key %s: %w", key, ErrUnknown)
		}
		return err
	})
	return id, err
}

// Roots returns versions of the root from a version on, in order: at most
// maxItems of them, and after the first at most maxBytes.
func (c *Catalog) Roots(ctx context.Context, id channel.ID, from uint64, maxItems, maxBytes int) ([][]byte, error) {
	return c.envelopes(ctx, id, maxItems, maxBytes, func(s *session, no int64, take scanFunc) error {
		return s.each(take, "SELECT envelope FROM roots WHERE channel = ? AND version >= ? ORDER BY version", no, clamp(from))
	})
}

// Manifests returns manifests from to to of a log, in order: at most maxItems
// of them, and after the first at most maxBytes. They end where one is missing,
// as it may be in a log that was joined by a snapshot.
func (c *Catalog) Manifests(ctx context.Context, id channel.ID, log channel.PublicKey, from, to uint64, maxItems, maxBytes int) ([][]byte, error) {
	return c.envelopes(ctx, id, maxItems, maxBytes, func(s *session, no int64, take scanFunc) error {
		next := clamp(from)
		return s.each(func(scan func(...any) error) (bool, error) {
			var seq int64
			more, err := take(func(dest ...any) error {
				if err := scan(append([]any{&seq}, dest...)...); err != nil || seq == next {
					return err
				}
				return errGap
			})
			if errors.Is(err, errGap) {
				return false, nil
			}
			next++
			return more, err
		}, `SELECT seq, envelope FROM manifests WHERE log = (SELECT no FROM logs WHERE channel = ? AND key = ?)
			AND seq BETWEEN ? AND ? ORDER BY seq`, no, log[:], clamp(from), clamp(to))
	})
}

// errGap ends reading where a manifest is missing.
var errGap = errors.New("a manifest is missing")

// Heads returns the newest heads of every log: the one that manifests here
// confirm, and the latest that names one we miss.
func (c *Catalog) Heads(ctx context.Context, id channel.ID) ([][]byte, error) {
	return c.envelopes(ctx, id, math.MaxInt, math.MaxInt, eachHead)
}

func eachHead(s *session, no int64, take scanFunc) error {
	return s.each(take, `SELECT head FROM logs WHERE channel = ?1 AND head IS NOT NULL
		UNION ALL SELECT claim FROM logs WHERE channel = ?1 AND claim IS NOT NULL`, no)
}

// scanFunc is what session.each calls for every row.
type scanFunc = func(scan func(...any) error) (bool, error)

// envelopes collects what a query yields, within limits.
func (c *Catalog) envelopes(ctx context.Context, id channel.ID, maxItems, maxBytes int, query func(*session, int64, scanFunc) error) ([][]byte, error) {
	var out [][]byte
	err := c.view(ctx, "reading envelopes", func(s *session) error {
		no, err := channelNo(s, id)
		if err != nil || maxItems <= 0 {
			return err
		}
		out, err = collect(s, no, maxItems, maxBytes, query)
		return err
	})
	return out, err
}

func collect(s *session, no int64, maxItems, maxBytes int, query func(*session, int64, scanFunc) error) ([][]byte, error) {
	var out [][]byte
	size := 0
	err := query(s, no, func(scan func(...any) error) (bool, error) {
		var envelope []byte
		if err := scan(&envelope); err != nil {
			return false, err
		}
		size += len(envelope)
		if len(out) > 0 && size > maxBytes {
			return false, nil
		}
		out = append(out, envelope)
		return len(out) < maxItems, nil
	})
	return out, err
}

// clamp brings a foreign number into SQLite's range.
func clamp(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// Listing is a channel on a topic.
type Listing struct {
	ID    channel.ID
	Title string // of its newest root
}

// ListedOn returns the channels whose newest root names the topic: those that
// matter more to this node first, then those known for longest. It reads no
// more of each than its title, so it may be asked often.
func (c *Catalog) ListedOn(ctx context.Context, topic string) ([]Listing, error) {
	var out []Listing
	err := c.view(ctx, "reading topic", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			var l Listing
			var title sql.NullString
			var envelope []byte // where a program that kept no titles wrote the row
			if err := scan((*bytes32)(&l.ID), &title, &envelope); err != nil {
				return false, err
			}
			if l.Title = title.String; !title.Valid {
				root, _, err := storedRoot(envelope)
				if err != nil {
					return false, fmt.Errorf("channel %s: %w", l.ID, err)
				}
				l.Title = root.Title
			}
			out = append(out, l)
			return true, nil
		}, `SELECT id, title, CASE WHEN title IS NULL THEN (SELECT envelope FROM roots r WHERE r.channel = c.no AND r.version = c.version) END
			FROM channels c WHERE no IN (SELECT channel FROM topics WHERE topic = ?) ORDER BY reason DESC, no`, topic)
	})
	return out, err
}

// SomeOn returns channels whose newest root names the topic, or one below it: at
// most most, and if there are more, a random choice of them; a quarter of that are
// such from below, if there are so many. The order is random as well, and says
// nothing about what they are to this node.
func (c *Catalog) SomeOn(ctx context.Context, topic string, most int) ([]channel.ID, error) {
	var on, below []channel.ID
	err := c.view(ctx, "reading topic", func(s *session) error {
		into := func(out *[]channel.ID) scanFunc {
			return func(scan func(...any) error) (bool, error) {
				var id channel.ID
				err := scan((*bytes32)(&id))
				*out = append(*out, id)
				return true, err
			}
		}
		if err := s.each(into(&on), "SELECT id FROM channels WHERE no IN (SELECT channel FROM topics WHERE topic = ?) ORDER BY random() LIMIT ?", topic, most); err != nil {
			return err
		}
		return s.each(into(&below), `SELECT id FROM channels WHERE no IN (SELECT channel FROM topics WHERE topic >= ?1 AND topic < ?2)
			AND no NOT IN (SELECT channel FROM topics WHERE topic = ?3) ORDER BY random() LIMIT ?4`, topic+"/", after(topic+"/"), topic, most)
	})
	on = on[:min(len(on), max(most-len(below), most-most/4))]
	out := append(on, below[:min(len(below), most-len(on))]...)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out, err
}

// Topics returns every topic that the newest root of a channel here names.
func (c *Catalog) Topics(ctx context.Context) ([]string, error) {
	var out []string
	err := c.view(ctx, "reading topics", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			var topic string
			err := scan(&topic)
			out = append(out, topic)
			return true, err
		}, "SELECT DISTINCT topic FROM topics ORDER BY topic")
	})
	return out, err
}

// Forks returns the proofs of forks in a channel, the oldest first.
func (c *Catalog) Forks(ctx context.Context, id channel.ID) ([]feed.Fork, error) {
	var out []feed.Fork
	err := c.view(ctx, "reading forks", func(s *session) error {
		no, err := channelNo(s, id)
		if err != nil {
			return err
		}
		return s.each(func(scan func(...any) error) (bool, error) {
			var f feed.Fork
			err := scan(&f.A, &f.B)
			out = append(out, f)
			return true, err
		}, "SELECT a, b FROM forks WHERE channel = ? ORDER BY no", no)
	})
	return out, err
}
