package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
)

// Written is a file that a subscription has put below its folder.
type Written struct {
	Name     string // of the entry
	Path     string // below the channel's folder, with slashes
	Size     uint64
	SHA256   codec.Hash
	Position int64 // of the release that brought it
	Issued   channel.Time
	Gone     bool // it was let go, or has been changed: it is not the subscription's any more
}

// Passed counts what a subscription has left out of a release for one reason.
type Passed struct {
	Reason string
	Files  int
	Bytes  uint64
	Again  bool // it may be taken though the policy stays
}

// Judged is what became of one release.
type Judged struct {
	Position int64
	By       string    // fingerprint of the policy
	Passed   []Passed  // a reason once; replaces what was known of this release
	Written  []Written // of any releases; replaces what was known of these names
}

// Record remembers what a subscription has made of a release.
func (c *Catalog) Record(ctx context.Context, subID string, id channel.ID, j Judged) error {
	return c.update(ctx, "recording what was written", func(t *tx) error {
		var exists int
		if err := t.get([]any{&exists}, "SELECT count(*) FROM subscriptions WHERE id = ?", subID); err != nil {
			return err
		}
		if exists == 0 {
			return fmt.Errorf("subscription %q: %w", subID, ErrUnknown)
		}
		for _, w := range j.Written {
			if _, err := t.exec(`INSERT OR REPLACE INTO written (subscription, channel, name, path, size, sha256, position, issued, gone)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, subID, id[:], w.Name, w.Path, int64(w.Size), w.SHA256[:], w.Position, int64(w.Issued), w.Gone); err != nil {
				return err
			}
		}
		if j.Position == 0 {
			return nil
		}
		if _, err := t.exec("DELETE FROM passed WHERE subscription = ? AND channel = ? AND position = ?", subID, id[:], j.Position); err != nil {
			return err
		}
		for _, p := range j.Passed {
			if _, err := t.exec(`INSERT INTO passed (subscription, channel, position, reason, files, bytes, judged, again) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
				subID, id[:], j.Position, p.Reason, p.Files, int64(p.Bytes), j.By, p.Again); err != nil {
				return err
			}
		}
		return nil
	})
}

const writtenColumns = "name, path, size, sha256, position, issued, gone"

// WrittenAs returns what a subscription has made of a channel's entry. It
// wraps ErrUnknown if that is nothing.
func (c *Catalog) WrittenAs(ctx context.Context, subID string, id channel.ID, name string) (Written, error) {
	return c.oneWritten(ctx, name, "SELECT "+writtenColumns+" FROM written WHERE subscription = ? AND channel = ? AND name = ?", subID, id[:], name)
}

// WrittenTo returns the file of a subscription that has a path. It wraps
// ErrUnknown if there is none.
func (c *Catalog) WrittenTo(ctx context.Context, subID string, id channel.ID, path string) (Written, error) {
	return c.oneWritten(ctx, path, "SELECT "+writtenColumns+" FROM written WHERE subscription = ? AND channel = ? AND path = ? AND NOT gone", subID, id[:], path)
}

// WrittenBy reports whether a release has brought a file that is still there.
func (c *Catalog) WrittenBy(ctx context.Context, subID string, id channel.ID, position int64) (bool, error) {
	_, err := c.oneWritten(ctx, "", "SELECT "+writtenColumns+" FROM written WHERE subscription = ? AND channel = ? AND position = ? AND NOT gone LIMIT 1", subID, id[:], position)
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	return err == nil, err
}

func (c *Catalog) oneWritten(ctx context.Context, what, text string, args ...any) (w Written, err error) {
	err = c.view(ctx, "reading what was written", func(s *session) error {
		found := false
		err := s.each(func(scan func(...any) error) (bool, error) {
			found = true
			w, err = scanWritten(scan)
			return false, err
		}, text, args...)
		if err == nil && !found {
			err = fmt.Errorf("file %q: %w", what, ErrUnknown)
		}
		return err
	})
	return w, err
}

func scanWritten(scan func(...any) error) (w Written, err error) {
	err = scan(&w.Name, &w.Path, &w.Size, (*bytes32)(&w.SHA256), &w.Position, &w.Issued, &w.Gone)
	return w, err
}

// AllWritten returns the files of a subscription to a channel that are still
// its own, in ascending order of names after one, at most limit.
func (c *Catalog) AllWritten(ctx context.Context, subID string, id channel.ID, after string, limit int) ([]Written, error) {
	var out []Written
	err := c.view(ctx, "reading what was written", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			w, err := scanWritten(scan)
			out = append(out, w)
			return true, err
		}, "SELECT "+writtenColumns+` FROM written WHERE subscription = ? AND channel = ? AND name > ? AND NOT gone ORDER BY name LIMIT ?`, subID, id[:], after, limit)
	})
	return out, err
}

// Withdrawn returns the files of a subscription to a channel that are still its own
// although a root has withdrawn the release that brought them.
func (c *Catalog) Withdrawn(ctx context.Context, subID string, id channel.ID) ([]Written, error) {
	var out []Written
	err := c.view(ctx, "reading what was withdrawn", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			w, err := scanWritten(scan)
			out = append(out, w)
			return true, err
		}, "SELECT "+writtenColumns+` FROM written WHERE subscription = ? AND channel = ? AND NOT gone
			AND NOT EXISTS (SELECT 1 FROM manifests m WHERE m.position = written.position) ORDER BY name`, subID, id[:])
	})
	return out, err
}

// PassedOver returns releases before a position of which something was left out
// by another policy than the one with that fingerprint, or, with again, that may
// be taken though the policy stays: the newest first, at most limit.
func (c *Catalog) PassedOver(ctx context.Context, subID string, id channel.ID, before int64, judged string, again bool, limit int) ([]int64, error) {
	var out []int64
	err := c.view(ctx, "reading what was left out", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			var position int64
			err := scan(&position)
			out = append(out, position)
			return true, err
		}, `SELECT DISTINCT position FROM passed WHERE subscription = ? AND channel = ? AND position < ? AND (judged <> ? OR ? AND again)
			ORDER BY position DESC LIMIT ?`, subID, id[:], before, judged, again, limit)
	})
	return out, err
}

// PassedAt returns what a subscription has left out of the release at a position.
func (c *Catalog) PassedAt(ctx context.Context, subID string, id channel.ID, position int64) ([]Passed, error) {
	var out []Passed
	err := c.view(ctx, "reading what was left out", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			var p Passed
			err := scan(&p.Reason, &p.Files, &p.Bytes, &p.Again)
			out = append(out, p)
			return true, err
		}, "SELECT reason, files, bytes, again FROM passed WHERE subscription = ? AND channel = ? AND position = ? ORDER BY reason", subID, id[:], position)
	})
	return out, err
}

// Tally counts what a subscription has on disk and what it has left out.
type Tally struct {
	Files  int64
	Bytes  int64
	Passed []Passed // by reason
}

// Tally counts for a subscription, over all of its channels.
func (c *Catalog) Tally(ctx context.Context, subID string) (Tally, error) {
	var out Tally
	err := c.view(ctx, "counting what was written", func(s *session) error {
		var bytes sql.NullInt64
		if err := s.get([]any{&out.Files, &bytes}, "SELECT count(*), sum(size) FROM written WHERE subscription = ? AND NOT gone", subID); err != nil {
			return err
		}
		out.Bytes = bytes.Int64
		return s.each(func(scan func(...any) error) (bool, error) {
			var p Passed
			err := scan(&p.Reason, &p.Files, &p.Bytes)
			out.Passed = append(out.Passed, p)
			return true, err
		}, "SELECT reason, sum(files), sum(bytes) FROM passed WHERE subscription = ? GROUP BY reason ORDER BY reason", subID)
	})
	return out, err
}
