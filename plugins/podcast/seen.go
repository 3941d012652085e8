package podcast

import (
	"encoding/json"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/anonymous-media-library/aml/internal/wholefile"
)

// maxSeen is how many episodes of a feed are remembered, and maxSeenBytes what that
// may take.
const (
	maxSeen      = 50_000
	maxSeenBytes = 256 << 20
)

// seen is what a feed has had: how its episodes were called, and which of them it
// has no more. Without it the names of files that were given before their titles
// changed, and removals while it was lost, are not known; nothing else is.
type seen struct {
	path string
	now  map[string]episode // by id
}

type episode struct {
	Base string `json:"base"` // name
	Date int64  `json:"date,omitempty"`
	Gone bool   `json:"gone,omitempty"`
}

func (p *podcast) remember(from string) *seen {
	s := &seen{path: filepath.Join(p.state, "seen-"+hash(from, 16)+".json"), now: map[string]episode{}}
	text, err := wholefile.Read(s.path, maxSeenBytes)
	if err == nil {
		err = json.Unmarshal(text, &s.now)
	}
	if err != nil && !os.IsNotExist(err) {
		log.Printf("what was seen of %.100s is lost: %v", plain(from), err)
		s.now = map[string]episode{}
	}
	return s
}

// base is what the files of an episode are called: what they were before.
func (s *seen) base(id, title string, date time.Time) string {
	if e, ok := s.now[id]; ok && e.Base != "" {
		return e.Base
	}
	return baseName(id, title, date)
}

// compare takes in what there is now and returns what is gone. Of a feed, which
// shows a window of the newest, that is only what is newer than the oldest that it
// shows; of a folder, all that is not there.
func (s *seen) compare(items []thing, all bool) (gone []thing) {
	here := map[string]bool{}
	oldest := time.Time{}
	for _, t := range items {
		here[t.id] = true
		if t.id != aboutID && !t.date.IsZero() && (oldest.IsZero() || t.date.Before(oldest)) {
			oldest = t.date
		}
	}
	for id, e := range s.now {
		if here[id] || id == aboutID {
			continue
		}
		if e.Gone || all || !oldest.IsZero() && e.Date > oldest.Unix() {
			e.Gone = true
			gone = append(gone, thing{id: id, title: e.Base, gone: true})
			s.now[id] = e
		}
	}
	for _, t := range items {
		e := episode{Base: s.now[t.id].Base}
		if len(t.files) > 0 && e.Base == "" {
			e.Base = baseOf(t.files[0].name)
		}
		if !t.date.IsZero() {
			e.Date = t.date.Unix()
		}
		if len(s.now) < maxSeen || s.now[t.id].Base != "" {
			s.now[t.id] = e
		}
	}
	return gone
}

func baseOf(name string) string { return name[:len(name)-len(filepath.Ext(name))] }

func (s *seen) save() error {
	text, err := json.Marshal(s.now)
	if err != nil {
		return err
	}
	return wholefile.Replace(s.path, text)
}
