package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// Entry is a name in a channel's view.
type Entry struct {
	channel.FileEntry // of a removed one only the name

	Log      channel.PublicKey // of the release that says so
	Seq      uint64
	Issued   channel.Time
	Position int64
	Removed  bool
	Reason   string // of the removal
}

// EntryFilter chooses names of a view.
type EntryFilter struct {
	Prefix  string // names that begin with it; if empty, all
	After   string // names after it in order; for going on
	Limit   int    // if zero, all
	Removed bool   // tombstones, too
}

// entryPage is how many entries are read at a time: between pages the reader
// holds nothing.
const entryPage = 512

// Entries yields the channel's view in ascending order of names. Each page is
// a picture of its own: names that change while the caller reads may be seen
// as before or after.
func (c *Catalog) Entries(ctx context.Context, id channel.ID, f EntryFilter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		after, left := f.After, f.Limit
		for first := true; ; first = false {
			n := entryPage
			if f.Limit > 0 {
				n = min(n, left)
			}
			page, err := c.entryPage(ctx, id, f, after, first && f.After == "", n)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			left -= len(page)
			if len(page) < n || f.Limit > 0 && left <= 0 {
				return
			}
			after = page[len(page)-1].Name
		}
	}
}

const entryColumns = "name, issued, log, seq, position, removed, entry, reason"

func (c *Catalog) entryPage(ctx context.Context, id channel.ID, f EntryFilter, after string, start bool, n int) ([]Entry, error) {
	var page []Entry
	err := c.view(ctx, "reading entries", func(s *session) error {
		no, err := channelNo(s, id)
		if err != nil {
			return err
		}
		from := max(after, f.Prefix)
		op := ">"
		if start || from > after {
			op = ">="
		}
		text := "SELECT " + entryColumns + " FROM entries WHERE channel = ? AND name " + op + " ? AND removed <= ? ORDER BY name LIMIT ?"
		return s.each(func(scan func(...any) error) (bool, error) {
			e, err := scanEntry(scan)
			if err != nil || !strings.HasPrefix(e.Name, f.Prefix) {
				return false, err
			}
			page = append(page, e)
			return true, nil
		}, text, no, from, f.Removed, n)
	})
	return page, err
}

// Entry returns one name of a channel's view, also when it is a tombstone.
func (c *Catalog) Entry(ctx context.Context, id channel.ID, name string) (Entry, error) {
	var e Entry
	err := c.view(ctx, "reading entry", func(s *session) error {
		no, err := channelNo(s, id)
		if err != nil {
			return err
		}
		found := false
		err = s.each(func(scan func(...any) error) (bool, error) {
			found = true
			e, err = scanEntry(scan)
			return false, err
		}, "SELECT "+entryColumns+" FROM entries WHERE channel = ? AND name = ?", no, name)
		if err == nil && !found {
			err = fmt.Errorf("entry %q of channel %s: %w", name, id, ErrUnknown)
		}
		return err
	})
	return e, err
}

func scanEntry(scan func(...any) error) (Entry, error) {
	var e Entry
	var name string
	var data []byte
	var reason sql.NullString
	if err := scan(&name, &e.Issued, (*bytes32)(&e.Log), &e.Seq, &e.Position, &e.Removed, &data, &reason); err != nil {
		return Entry{}, err
	}
	if data != nil {
		if err := dcbor.Unmarshal(data, &e.FileEntry); err != nil {
			return Entry{}, fmt.Errorf("%w: entry %q: %w", errDamaged, name, err)
		}
	}
	e.Name, e.Reason = name, reason.String
	return e, nil
}

// channelNo finds a channel's row.
func channelNo(s *session, id channel.ID) (int64, error) {
	var no int64
	err := s.get([]any{&no}, "SELECT no FROM channels WHERE id = ?", id[:])
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("channel %s: %w", id, ErrUnknown)
	}
	return no, err
}
