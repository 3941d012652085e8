package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
)

// migrate brings a store of version 1 to the present layout, and its index to
// the present schema. The first is done once, for a million blobs in some ten seconds,
// and if it is cut short the next start goes on with it: the index keeps its
// old version until all names are durable. The caller has the index to itself.
func (s *Store) migrate(ctx context.Context, idx *index) error {
	if idx.version == 1 || idx.fresh() {
		if err := s.migrateFiles(ctx); err != nil {
			return fmt.Errorf("moving blobs to the layout of version 2: %w", err)
		}
	}
	if idx.version == schemaVersion {
		return nil
	}
	steps := fmt.Sprintf("%s PRAGMA user_version = %d;", strings.Join(migrations[idx.version-1:], ""), schemaVersion)
	if _, err := idx.conn.ExecContext(ctx, "PRAGMA synchronous = FULL; BEGIN IMMEDIATE; "+steps+" COMMIT"); err != nil {
		_, _ = idx.conn.ExecContext(ctx, "ROLLBACK") // the first error is the one to tell
		return fmt.Errorf("bringing index to version %d: %w", schemaVersion, err)
	}
	idx.version = schemaVersion
	return nil
}

// migrateFiles moves blobs from ab/cd/<hex> to ab/<hex>. It removes the folders
// that are empty afterwards, and the folder of half-written files that version
// 1 had.
func (s *Store) migrateFiles(ctx context.Context) error {
	if err := os.RemoveAll(filepath.Join(s.tree.root, "tmp")); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for n := range leaves {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return s.migrateLeaf(n)
		})
	}
	return group.Wait()
}

func (s *Store) migrateLeaf(n int) error {
	folder, moved := s.tree.leaf(n), false
	below, err := readNames(folder)
	if err != nil {
		return err
	}
	for _, dir := range below {
		low, ok := parseHexByte(dir.Name())
		if !ok || !dir.IsDir() {
			continue
		}
		old := folder + separator + dir.Name()
		files, err := readNames(old)
		if err != nil {
			return err
		}
		for _, file := range files {
			id, err := blobnet.ParseID(file.Name())
			if err != nil || int(id[0]) != n || int(id[1]) != low || !file.Type().IsRegular() {
				continue // somebody else's
			}
			if err := s.markUncleanOwned(); err != nil {
				return err
			}
			if err := os.Rename(old+separator+file.Name(), s.tree.blob(id)); err != nil {
				return err
			}
			moved = true
		}
		// What is not ours stays, in its folder.
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) && !notEmpty(old) {
			return err
		}
	}
	if !moved {
		return nil
	}
	return s.syncDir(folder)
}

func notEmpty(dir string) bool {
	names, err := os.ReadDir(dir)
	return err == nil && len(names) > 0
}
