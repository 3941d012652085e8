package diskstore

import "github.com/anonymous-media-library/aml/blobnet"

// EventKind says what happened.
type EventKind uint8

// The kinds of events.
const (
	// EventServeOnly: the disk is full, or its free space at the floor. Puts of
	// new blobs are refused until EventWritable. Err says which it was.
	EventServeOnly EventKind = iota + 1

	// EventWritable: there is room again.
	EventWritable

	// EventCorrupt: the file of blob ID was not the blob any more. It was
	// moved to quarantine; the blob counts as missing, and its pins hold.
	EventCorrupt

	// EventMissing: blob ID was stored, but its file is gone.
	EventMissing
)

// Event is something that whoever runs the store wants to know, and to act on:
// a blob that is corrupt or missing can be fetched again.
type Event struct {
	Kind EventKind
	ID   blobnet.ID // of EventCorrupt and EventMissing
	Err  error      // of EventServeOnly
}

// tell calls Config.OnEvent. The caller holds no lock, claim or index.
func (s *Store) tell(e Event) {
	if s.cfg.OnEvent != nil {
		s.cfg.OnEvent(e)
	}
}
