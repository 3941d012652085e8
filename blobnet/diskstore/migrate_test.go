package diskstore

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

// toV1 turns a closed store into one as version 1 made them.
func toV1(t *testing.T, dir string, ids []blobnet.ID) {
	t.Helper()
	tr := tree{root: dir}
	for _, id := range ids {
		old := filepath.Join(tr.leaf(leaf(id)), hexByte(int(id[1])), id.String())
		must(t, os.MkdirAll(filepath.Dir(old), 0o700))
		must(t, os.Rename(tr.blob(id), old))
	}
	must(t, os.MkdirAll(filepath.Join(dir, "tmp"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "tmp", "7"), []byte("half a blob"), 0o600))
	idx, err := openIndex(t.Context(), tr.index())
	must(t, err)
	_, err = idx.conn.ExecContext(t.Context(), "ALTER TABLE blobs DROP COLUMN crc; ALTER TABLE state DROP COLUMN scrubbed;"+toV2+" PRAGMA user_version = 1")
	must(t, err)
	must(t, idx.close())
}

const toV2 = "ALTER TABLE state DROP COLUMN unpin_number; ALTER TABLE state DROP COLUMN unpin_left;"

func TestAnIndexOfVersion2IsTakenOver(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	id := put(t, s, 1, 1000)
	must(t, s.Pin(t.Context(), id))
	closeStore(t, s)
	idx, err := openIndex(t.Context(), tree{root: cfg.Dir}.index())
	must(t, err)
	_, err = idx.conn.ExecContext(t.Context(), toV2+"PRAGMA user_version = 2")
	must(t, err)
	must(t, idx.close())
	s = open(t, cfg)
	wantStats(t, s, 1, 1000, 1)
	must(t, s.UnpinTo(t.Context(), blobnet.Mark{Number: 7, Left: 1}, id))
	closeStore(t, s)
	s = open(t, cfg)
	wantStats(t, s, 1, 1000, 0)
	if mark, err := s.UnpinnedTo(t.Context()); err != nil || mark != (blobnet.Mark{Number: 7, Left: 1}) {
		t.Errorf("the mark is %+v (%v)", mark, err)
	}
	closeStore(t, s)
}

func TestAStoreOfVersion1IsTakenOver(t *testing.T) {
	for _, indexLost := range []bool{false, true} {
		cfg := Config{Dir: t.TempDir()}
		s := open(t, cfg)
		var ids []blobnet.ID
		for n := range 50 {
			ids = append(ids, put(t, s, n, 1000))
		}
		must(t, s.Pin(t.Context(), ids[0]))
		closeStore(t, s)
		toV1(t, cfg.Dir, ids[5:]) // as if it had been cut short after five
		foreign := filepath.Join(cfg.Dir, hexByte(int(ids[7][0])), hexByte(int(ids[7][1])), "notes.txt")
		must(t, os.WriteFile(foreign, []byte("somebody's"), 0o600))
		pins := int64(1)
		if indexLost {
			must(t, os.Remove(filepath.Join(cfg.Dir, "index.db")))
			pins = 0
		}
		for range 2 {
			s = open(t, cfg)
			wantStats(t, s, 50, 50_000, pins)
			for _, id := range ids {
				wantBlob(t, s, id)
			}
			closeStore(t, s)
		}
		if _, err := os.Lstat(foreign); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(cfg.Dir, "??", "??")); len(left) != 1 {
			t.Errorf("folders of version 1 are left: %v", left)
		}
		if _, err := os.Lstat(filepath.Join(cfg.Dir, "tmp")); !os.IsNotExist(err) {
			t.Errorf("tmp is there (%v)", err)
		}
	}
}
