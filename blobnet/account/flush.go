package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Flush writes what was counted so far. It is on disk then, but for a loss of
// power. After an error it is still counted, and written later.
func (b *Book) Flush(ctx context.Context) error {
	f, err := b.take(ctx)
	if err != nil {
		return err
	}
	f, err = b.flush(ctx, f)
	b.file <- f
	return err
}

// flush writes with a file that the caller owns, and returns the file to use
// from then on, which is another one if that was damaged, or nil if there is none.
func (b *Book) flush(ctx context.Context, f *file) (*file, error) {
	b.mu.Lock()
	batch := b.pending
	b.pending = make(map[string]*sums)
	for peer, s := range batch {
		if s.twice > 0 { // what it was is not counted yet
			b.pending[peer] = &sums{twice: s.twice}
			s.twice = 0
		}
		if *s == (sums{}) {
			delete(batch, peer)
		}
	}
	b.mu.Unlock()
	if len(batch) == 0 {
		return f, nil
	}
	var err error
	if f == nil {
		f, err = openFile(ctx, b.cfg.Path)
	}
	if err == nil {
		err = f.write(ctx, batch, b.cfg.MaxPeers, time.Now())
	}
	if isDamaged(err) {
		if f, err = b.replace(ctx, f, err); err == nil {
			err = f.write(ctx, batch, b.cfg.MaxPeers, time.Now())
		}
	}
	if err == nil {
		b.failed = false
		return f, nil
	}
	b.mu.Lock()
	for peer, s := range batch {
		b.add(peer, *s)
	}
	b.mu.Unlock()
	err = fmt.Errorf("writing accounts: %w", err)
	if !b.failed {
		b.failed = true
		b.cfg.OnProblem(err)
	}
	return f, err
}

// replace moves the damaged file aside, never over another, and makes an empty
// one.
func (b *Book) replace(ctx context.Context, old *file, why error) (*file, error) {
	if old != nil {
		_ = old.close() // it is damaged: errors are expected
	}
	path := b.cfg.Path
	aside := path + ".damaged"
	for n := 1; ; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		}
		aside = fmt.Sprintf("%s.damaged-%d", path, n)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("moving damaged accounts aside: %w", err)
		}
	}
	b.cfg.OnProblem(fmt.Errorf("accounts were damaged (%w): moved to %s, counting from zero", why, aside))
	return openFile(ctx, path)
}

// List returns the peers with whom most bytes were moved, in both ways
// together, at most limit of them (0: all). Others is a row like any other.
// What is not yet written is counted too.
func (b *Book) List(ctx context.Context, limit int) ([]Row, error) {
	rows, err := b.rows(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(x, y Row) int {
		return cmp.Or(cmp.Compare(y.bytes(), x.bytes()), cmp.Compare(x.Peer, y.Peer))
	})
	if limit > 0 && len(rows) > limit {
		rows = rows[:limit]
	}
	return rows, nil
}

func (r Row) bytes() int64 { return plus(r.Received.Total(), r.Sent.Total()) }

// Totals returns the sum of all rows, with an empty name, and how many peers
// are told apart.
func (b *Book) Totals(ctx context.Context) (sum Row, peers int, err error) {
	rows, err := b.rows(ctx)
	if err != nil {
		return Row{}, 0, err
	}
	for i, r := range rows {
		sum.Received, sum.Sent = sum.Received.Plus(r.Received), sum.Sent.Plus(r.Sent)
		if i == 0 || r.First.Before(sum.First) {
			sum.First = r.First
		}
		if r.Last.After(sum.Last) {
			sum.Last = r.Last
		}
		if r.Peer != Others {
			peers++
		}
	}
	return sum, peers, nil
}

// rows returns what is written and what is not, as one.
func (b *Book) rows(ctx context.Context) ([]Row, error) {
	f, err := b.take(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { b.file <- f }() // whichever it is then
	pending := make(map[string]sums)
	b.mu.Lock()
	for peer, s := range b.pending {
		if s.received != (Counts{}) || s.sent != (Counts{}) {
			pending[peer] = *s
		}
	}
	b.mu.Unlock()
	var rows []Row
	if f != nil {
		if rows, err = f.read(ctx); isDamaged(err) {
			f, err = b.replace(ctx, f, err)
		}
		if err != nil {
			return nil, fmt.Errorf("reading accounts: %w", err)
		}
	}
	now := time.Now()
	for i := range rows {
		r := &rows[i]
		if s, ok := pending[r.Peer]; ok {
			r.Received, r.Sent, r.Last = r.Received.Plus(s.received), r.Sent.Plus(s.sent), now
			delete(pending, r.Peer)
		}
	}
	for peer, s := range pending {
		rows = append(rows, Row{Peer: peer, Received: s.received, Sent: s.sent, First: now, Last: now})
	}
	return rows, nil
}
