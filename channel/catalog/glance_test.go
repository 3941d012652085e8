package catalog

import (
	"os"
	"path/filepath"
	"testing"
)

// A glance at the file of a catalogue that is open elsewhere, damaged or not there
// neither waits nor writes.
func TestAGlanceLeavesNothingBehindAndWaitsForNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aml.db")
	if seen, err := Glance(t.Context(), path); err == nil || len(seen) > 0 {
		t.Errorf("of a file that is not there: %v, %v", seen, err)
	}
	c, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadDir(filepath.Dir(path))
	_, _ = Glance(t.Context(), path) // what is not in the file yet is not seen, or an error
	if after, _ := os.ReadDir(filepath.Dir(path)); len(after) != len(before) {
		t.Errorf("files were made: %v, before %v", after, before)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if seen, err := Glance(t.Context(), path); err != nil || len(seen) > 0 {
		t.Errorf("of an empty catalogue: %v, %v", seen, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("beside the catalogue there is %v", left)
	}
	if err := os.WriteFile(path, []byte("somebody's letter, and no database at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Glance(t.Context(), path); err == nil {
		t.Error("a letter was read as a catalogue")
	}
}
