package inplace

import "fmt"

// Kind is what an Event tells of.
type Kind uint8

// The kinds of events.
const (
	KindChanged    Kind = iota + 1 // the file at Path is not what it was: what Err is about is not served any more
	KindVanished                   // there is no file at Path any more: nothing of it is served until it is back
	KindUnreadable                 // the file at Path cannot be read now: Err. It is not forgotten
	KindUnrecorded                 // what lies in files could not be written to the database: Err. It is served until the process ends
	KindDatabase                   // the database was damaged and is begun anew: Err. Files have to be registered again
)

var kindNames = [...]string{"", "changed", "vanished", "unreadable", "unrecorded", "database damaged"}

func (k Kind) String() string {
	if k > 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Event is one thing that whoever owns the files should know.
type Event struct {
	Kind Kind
	Path string // of the file, or of the database
	Err  error  // may be nil; holds no key
}

func (s *Store) event(e Event) {
	if s.cfg.OnEvent != nil {
		s.cfg.OnEvent(e)
	}
}

// eventOnce tells of a file what was not told of it in this state before.
func (s *Store) eventOnce(id int64, now stamp, e Event) {
	s.mu.Lock()
	told := s.told[id]
	same := told.kind == e.Kind && told.stamp == now
	if len(s.told) >= maxTold {
		clear(s.told)
	}
	s.told[id] = tale{e.Kind, now}
	s.mu.Unlock()
	if !same {
		s.event(e)
	}
}

// maxTold is of how many files is remembered what was told.
const maxTold = 4096

// tale is what was told of a file last, and how it was then.
type tale struct {
	kind  Kind
	stamp stamp
}
