package inplace

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
)

// letGoBatch is how many blobs are let go of in one transaction.
const letGoBatch = 1024

// LetGo forgets that blobs lie in files, and takes the pins of index blobs back that
// files hold: what was in them is not to be served any more, though the files,
// which are the user's, stay as they are. Delete then deletes what is not pinned
// otherwise. A file that is still being written may claim a blob again.
func (s *Store) LetGo(ctx context.Context, ids ...blobnet.ID) error {
	if !s.some.Load() {
		return nil
	}
	for some := range slices.Chunk(ids, letGoBatch) {
		if err := s.letGo(ctx, some); err != nil {
			return fmt.Errorf("letting go of blobs in files: %w", err)
		}
	}
	return nil
}

func (s *Store) letGo(ctx context.Context, ids []blobnet.ID) error {
	if err := s.turn(ctx); err != nil {
		return err
	}
	defer s.endTurn()
	if err := s.flushOwned(ctx); err != nil { // so that one place has all that is known
		return asFull(err)
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	const among = " WHERE id IN (SELECT unhex(value) FROM json_each(?))"
	var unpin []blobnet.ID
	err = s.erase(ctx, func(tx *sql.Tx) (err error) {
		unpin, err = heldAmong(tx, "SELECT id FROM held"+among, string(list))
		for _, query := range []string{"DELETE FROM held" + among, "DELETE FROM chunk" + among} {
			if err == nil {
				_, err = tx.Exec(query, string(list))
			}
		}
		return err
	})
	if err == nil && len(unpin) > 0 {
		err = s.cfg.Inner.Unpin(ctx, unpin...)
	}
	return err
}

// heldAmong returns the ids that a query yields.
func heldAmong(tx *sql.Tx, query string, args ...any) (ids []blobnet.ID, err error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		if len(id) == len(blobnet.ID{}) {
			ids = append(ids, blobnet.ID(id))
		}
	}
	return ids, rows.Err()
}
