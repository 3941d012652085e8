package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec/inplace"
)

// unsynced is a store whose Sync fails.
type unsynced struct {
	inplace.Inner
	err error
}

func (u unsynced) Sync(context.Context) error { return u.err }

func TestAWholeFileThatCannotBeWrittenDownIsAWarning(t *testing.T) {
	other := errors.New("other")
	for _, c := range []struct {
		sync, want error
		told       bool
	}{{nil, nil, false}, {fmt.Errorf("syncing: %w", blobnet.ErrFull), nil, true}, {other, other, false}} {
		blobs, err := inplace.Open(t.Context(), inplace.Config{
			Inner: unsynced{memstore.New(memstore.Config{}), c.sync}, Path: filepath.Join(t.TempDir(), "inplace.db"),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer blobs.Close()
		var log strings.Builder
		n := &Node{blobs: blobs, log: slog.New(slog.NewTextHandler(&log, nil))}
		var told []any
		if err := n.recordFetched(t.Context(), func(e any) { told = append(told, e) }); !errors.Is(err, c.want) {
			t.Errorf("%v: got %v, want %v", c.sync, err, c.want)
		}
		if (len(told) == 1) != c.told || strings.Contains(log.String(), "disk is full") != c.told {
			t.Errorf("%v: told %v, logged %q", c.sync, told, log.String())
		}
		if c.told {
			if e, ok := told[0].(ErrorEvent); !ok || e.Event != "error" || !strings.Contains(e.Message, "is whole") {
				t.Errorf("told %+v", told[0])
			}
		}
	}
}
