package diskstore

import (
	"bytes"
	"context"
	"iter"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Lost yields, in order, the ids that are pinned and not stored: blobs that a
// Scrub or a Get has put into quarantine, whose files a Scrub or a start found
// gone, or that were pinned and have not come yet. It reads the index alone: of
// a file that was deleted it knows once somebody has looked for it. An error
// comes last, with no id. The index is free between batches, so the loop may be
// slow and may use the store.
func (s *Store) Lost(ctx context.Context) iter.Seq2[blobnet.ID, error] {
	return func(yield func(blobnet.ID, error) bool) {
		// One folder's ids at a time: where few are lost a single query would go
		// through the whole index, and everybody else would wait for that.
		for leaf := range leaves {
			for after := []byte{byte(leaf)}; ; {
				var page []blobnet.ID
				if err := s.withIndex(ctx, "listing lost blobs", func(idx *index) (err error) {
					page, err = idx.lost(ctx, after)
					return err
				}); err != nil {
					yield(blobnet.ID{}, err)
					return
				}
				for _, id := range page {
					if !yield(id, nil) {
						return
					}
				}
				if len(page) < listPage {
					break
				}
				after = bytes.Clone(page[len(page)-1][:])
			}
		}
	}
}

// lost returns the next pinned ids without a blob that begin with the same byte
// as after: an id, or that byte alone, which comes before all of them.
func (x *index) lost(ctx context.Context, after []byte) ([]blobnet.ID, error) {
	s, err := x.stmt("SELECT id FROM blobs WHERE id > ? AND id < ? AND size < 0 AND pins > 0 ORDER BY id LIMIT ?")
	if err != nil {
		return nil, err
	}
	end := bytes.Repeat([]byte{0xff}, len(blobnet.ID{})+1) // longer, so behind the last id
	end[0] = after[0]
	rows, err := s.QueryContext(ctx, after, end, listPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // Err tells
	var page []blobnet.ID
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		page = append(page, blobnet.ID(id))
	}
	return page, rows.Err()
}
